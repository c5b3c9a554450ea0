"""A trained network outside its study: with what is done to images before it, and the names of its classes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ferray.attachments import Attachments
from ferray.code import Code
from ferray.config import Config, digest
from ferray.errors import DataError, ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMAT = 1
DESCRIPTION, WEIGHTS, ONNX, CODE = "model.json", "model.safetensors", "model.onnx", "code"
"""The files of an exported network, and the folder of the user's own code that its network stands on."""

FIELDS: Mapping[str, type] = {
    "config": dict,
    "code": dict,
    "classes": list,
    "weights.sha256": str,
    "preprocessing.channels": int,
    "preprocessing.height": int,
    "preprocessing.width": int,
    "preprocessing.resize": str,
}
"""What a description must say, by dotted name."""

BATCH = 256
"""Images per forward pass, as in the evaluations of a training."""


@dataclass(frozen=True)
class Model:
    """A trained network: ``probabilities`` gives the classes of images. ``description`` is what model.json says of it."""

    description: Mapping[str, Any]
    _compute: Callable[[NDArray[np.uint8]], NDArray[np.float32]] = field(repr=False)

    @property
    def classes(self) -> tuple[str, ...]:
        """Their names, in the order of the probabilities."""
        return tuple(self.description["classes"])

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the images that it takes."""
        shape = self.description["preprocessing"]
        return shape["channels"], shape["height"], shape["width"]

    def probabilities(self, images: NDArray[np.uint8], *, batch_size: int = BATCH) -> NDArray[np.float32]:
        """Class probabilities [n, classes] of images as uint8 [n, channels, height, width], as they were in training, not normalized.

        Raises DataError for images of another type or shape. ``batch_size`` images are computed at once.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != self.image_shape:
            wanted = ", ".join(str(size) for size in self.image_shape)
            raise DataError(f"images: must be uint8 [n, {wanted}] (channels, height, width), not {images.dtype} {list(images.shape)}")
        if batch_size < 1:
            raise DataError(f"batch_size: at least 1, not {batch_size}")
        parts = [self._compute(images[start : start + batch_size]) for start in range(0, len(images), batch_size)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.classes)), np.float32)


def load_model(path: str | os.PathLike[str], *, device: str = "cpu") -> Model:
    """The network in a folder that `python -m ferray.export` wrote, or in its model.onnx.

    Weights are read as safetensors, which hold numbers only. Where the network is of the exporting user's own making, the code in the
    folder is run, or the function of an installed package that model.json names: load only what you would also run as a program. A
    model.onnx holds no such code, and needs onnxruntime.
    Raises ModelError where there is no exported network, or its files do not fit together.
    """
    place = Path(path)
    if place.suffix == ".onnx":
        return _onnx_model(place)
    folder = place.parent if place.name == DESCRIPTION else place
    description = read_description(folder)
    try:
        weights = (folder / WEIGHTS).read_bytes()
        sources = {
            file.relative_to(folder / CODE).as_posix(): file.read_bytes()
            for file in sorted((folder / CODE).rglob("*.py"))
            if "__pycache__" not in file.parts
        }
    except OSError as error:
        raise ModelError(f"{folder}: {error.filename} cannot be read: {error.strerror}") from None
    if hashlib.sha256(weights).hexdigest() != description["weights"]["sha256"]:
        raise ModelError(f"{folder / WEIGHTS} does not hold the weights that {DESCRIPTION} tells of; export the network again")
    return assemble(description, weights, sources, device=device)


def assemble(description: Mapping[str, Any], weights: bytes, sources: Mapping[str, bytes], *, device: str = "cpu") -> Model:
    """A network from its description, its weights as safetensors, and the sources of the user's own code by path."""
    import torch

    network = pipeline(description, weights, sources, device=device)

    @torch.inference_mode()
    def compute(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = network(torch.from_numpy(images.astype(np.float32)).to(device)).cpu().numpy()
        return found

    return Model(description, compute)


def pipeline(
    description: Mapping[str, Any],
    weights: bytes,
    sources: Mapping[str, bytes],
    *,
    device: str = "cpu",
    precision: str | None = None,
) -> nn.Module:
    """The module from float images [n, c, h, w] with pixels in 0..255 to class probabilities [n, classes].

    It computes in the precision of the training, unless told another. Raises ModelError where the weights do not fit the network.
    """
    import torch
    from safetensors.torch import load
    from torch import nn

    from ferray.training.models import build
    from ferray.training.normalization import InputNormalization

    config = Config.parse({**description["config"], "device": "cpu", "pretrained": None}, where=DESCRIPTION)
    shape = description["preprocessing"]
    tensors = load(weights)
    if config.input_normalization == "standardize":
        statistics = {name: tensors.pop(f"input.{name}") for name in ("mean", "deviation") if f"input.{name}" in tensors}
    else:
        statistics = {}
    attachments = Attachments({"model": _code(description["code"], sources)}) if description["code"] else Attachments()
    network = build(config, (shape["channels"], shape["height"], shape["width"]), len(description["classes"]), attachments)
    try:
        network.load_state_dict(tensors)
        normalize = InputNormalization.restored(config.input_normalization, statistics, torch.device(device))
    except (RuntimeError, KeyError) as error:
        raise ModelError(f"the weights do not fit the network {config.model!r} as it is built today: {error}") from None

    class Pipeline(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: Tensor) -> Tensor:
            inputs = normalize(images)
            if (precision or config.precision) == "bf16":
                with torch.autocast(images.device.type, torch.bfloat16, cache_enabled=False):
                    logits = self.network(inputs)
            else:
                logits = self.network(inputs)
            return torch.softmax(logits.float(), dim=1)

    return Pipeline().to(device).eval()


def read_description(folder: Path) -> dict[str, Any]:
    """What a folder's model.json says. Raises ModelError where there is none that this version of ferray reads."""
    file = folder / DESCRIPTION
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{folder} holds no exported network (no {DESCRIPTION}); python -m ferray.export KEY makes one") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read: {error}") from None
    return checked(description, str(file))


def checked(description: Any, where: str) -> dict[str, Any]:
    """The description, if it is one. Raises ModelError."""
    if not isinstance(description, dict) or "format" not in description:
        raise ModelError(f"{where} does not describe an exported network of ferray")
    if description["format"] != FORMAT:
        raise ModelError(f"{where} has format {description['format']}; this version of ferray reads format {FORMAT}")
    wrong = [name for name, kind in FIELDS.items() if not isinstance(_within(description, name), kind)]
    if code := _within(description, "code"):
        named = [_within(description, f"code.{name}") for name in ("reference", "module", "name")]
        is_named = all(isinstance(name, str) for name in named) and all(part.isidentifier() for part in str(named[1]).split("."))
        wrong += [] if is_named or not isinstance(code, dict) else ["code"]
    if wrong:
        raise ModelError(f"{where} does not describe an exported network of ferray: not as it should be: {', '.join(wrong)}")
    return description


def _within(description: Any, name: str) -> Any:
    """What stands there under a dotted name, or None."""
    for part in name.split("."):
        description = description.get(part) if isinstance(description, dict) else None
    return description


def _code(named: Mapping[str, Any], sources: Mapping[str, bytes]) -> Code:
    files = tuple(sources.items())
    content = digest({"module": named["module"], "files": {path: source.hex() for path, source in files}})
    return Code(named["reference"], named["module"], named["name"], content, files)


def _onnx_model(file: Path) -> Model:
    if not file.is_file():
        raise ModelError(f"{file}: no such file; python -m ferray.export KEY --onnx makes one")
    try:
        import onnxruntime
    except ImportError:
        raise ModelError(f"{file}: needs onnxruntime (pip install onnxruntime), or give the folder that it lies in") from None
    try:
        session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        description = json.loads(session.get_modelmeta().custom_metadata_map["ferray"])
    except Exception as error:  # noqa: BLE001 - onnxruntime raises types of its own for every fault
        raise ModelError(f"{file} is no network that ferray exported: {error}") from None

    def compute(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = session.run(None, {"images": images.astype(np.float32)})[0]
        return found

    return Model(checked(description, str(file)), compute)
