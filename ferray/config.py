"""One trial's complete, resolved settings, and the digest that is its address in the ledger."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ferray.errors import explain, nearest

ENGINE_VERSION = "3"
"""Raised whenever a change to the code alters the numbers of a training, so that older records are not taken for its result."""

KEY_LENGTH = 32
"""Hexadecimal digits of a key: 128 bits, so that two different trials never share one."""


class Frozen(BaseModel):
    """Settings that cannot change after validation, take keywords only, and refuse fields that they do not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True, use_attribute_docstrings=True
    )


OneZero = AfterValidator(lambda number: number + 0.0)
"""Turns -0.0, which JSON tells apart, into 0.0: equal numbers have equal keys."""

Probability = Annotated[float, Field(ge=0, le=1), OneZero]
Fraction = Annotated[float, Field(ge=0, lt=1), OneZero]
Angle = Annotated[float, Field(ge=0, le=180), OneZero]
Positive = Annotated[float, Field(gt=0), OneZero]
NotNegative = Annotated[float, Field(ge=0), OneZero]


OWN_NETWORKS: dict[str, dict[str, Any]] = {
    "cnn": {"width": 1.0, "dropout": 0.5, "batch_norm": True},
    "dnn": {"width": 1.0, "dropout": 0.0, "batch_norm": False},
}
"""ferray's own networks, and what they are known for."""

REFERENCE = r"^(?:[\w./~ -]+\.py|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*$"
"""How a user's own code is named: `./file.py:factory`, or `package.module:factory`."""


IMPORT_FORM = "./file.py:factory or package.module:factory"


def _network(name: str) -> str:
    if name in OWN_NETWORKS or re.fullmatch(REFERENCE, name):
        return name
    near = nearest(name, [*OWN_NETWORKS, "torchvision:resnet18"])
    raise ValueError(f"no network is called so{near or '.'} Write {', '.join(OWN_NETWORKS)}, torchvision:NAME, {IMPORT_FORM}")


def _loss(name: str) -> str:
    if name == "cross_entropy" or re.fullmatch(REFERENCE, name):
        return name
    raise ValueError(f"no loss is called so{nearest(name, ['cross_entropy']) or '.'} Write cross_entropy, {IMPORT_FORM}")


def _reference(name: str) -> str:
    if re.fullmatch(REFERENCE, name):
        return name
    raise ValueError(f"write {IMPORT_FORM}")


def _plain(value: Any, place: str = "") -> Any:
    """A copy of a JSON value, so that nothing that is done to one config's arguments reaches another's."""
    if isinstance(value, dict):
        named = next((name for name in value if not isinstance(name, str)), None)
        if named is not None:
            raise ValueError(f"{place}{named!r}: names are text; put it in quotes")
        return {name: _plain(item, f"{place}{name}.") for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, place) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{place.removesuffix('.')}: must be a finite number, not {value}")
    if value is None or isinstance(value, str | bool | int | float):
        return value
    takes = "numbers, texts, booleans, null, and lists and mappings of these"
    raise ValueError(f"{place.removesuffix('.')}: arguments are {takes}, not {value!r} of type {type(value).__name__}")


Arguments = Annotated[dict[str, Any], AfterValidator(_plain)]
"""Keyword arguments for a user's own code, as far as JSON can hold them."""

Network = Annotated[str, AfterValidator(_network)]
Loss = Annotated[str, AfterValidator(_loss)]
Reference = Annotated[str, AfterValidator(_reference)]


class Augmentation(Frozen):
    """Random changes to each training image, drawn image by image; zero switches a transform off."""

    rotation: Angle = 0.0
    """Degrees; the angle is uniform in +-rotation."""
    horizontal_flip: Probability = 0.0
    """Probability of mirroring."""
    shift: Fraction = 0.0
    """Of the width and the height, each uniform in +-shift."""
    zoom: Fraction = 0.0
    """The factor is uniform in 1 +- zoom, one for both axes."""
    brightness: Fraction = 0.0
    """Added to pixels in 0..1, uniform in +-brightness."""
    contrast: Fraction = 0.0
    """The factor about the image's mean is uniform in 1 +- contrast."""
    erasing: Probability = 0.0
    """Probability of overwriting a rectangle of 2 to 33 % of the image with its mean."""


class Config(Frozen):
    """Everything that decides the numbers of one training, apart from the data and the content of files that it names.

    ``width``, ``dropout`` and ``batch_norm`` belong to ferray's own networks, the CNN and the DNN. Left at None there, they are filled
    in by validation with what the network is known for (the CNN drops half of its features and normalizes batches, the DNN does
    neither), so that a Config is always complete; other networks have ``model_arguments`` instead, and None here.
    """

    model: Network = "cnn"
    """`cnn`, `dnn`, `torchvision:NAME`, or a network of your own as `./file.py:factory` or `package.module:factory`."""
    model_arguments: Arguments = Field(default_factory=dict)
    """Keyword arguments for the factory of a network that is not ferray's own; each can be searched and varied."""
    pretrained: str | None = None
    """A local file of weights (.safetensors, or .pt read with weights_only) to begin from; tensors that do not fit are left out."""
    width: Positive | None = None
    """Multiplies every hidden layer's filters or units; 1.0 unless told."""
    dropout: Fraction | None = None
    """Probability of dropping a feature in the head."""
    batch_norm: bool | None = None
    """Batch normalization after every convolution (cnn) or hidden layer (dnn)."""
    input_normalization: Literal["none", "scale", "standardize", "per_image"] = "scale"
    """Pixels kept as 0..255, mapped to 0..1, standardized by the training set, or each image by itself."""
    augmentation: Augmentation = Augmentation()
    """Random changes to each training image."""
    transform: Reference | None = None
    """A training transform of your own, `./file.py:factory` or `package.module:factory` (such as
    `torchvision.transforms.v2:RandomPerspective`), applied after `augmentation`."""
    transform_arguments: Arguments = Field(default_factory=dict)
    """Keyword arguments for the transform's factory."""
    l1: NotNegative = 0.0
    """Times sum |w| over kernels, added to the loss."""
    l2: NotNegative = 0.0
    """Times sum w^2 over kernels, added to the loss."""
    loss: Loss = "cross_entropy"
    """`cross_entropy`, or a loss of your own as `./file.py:factory` or `package.module:factory` (such as `torch.nn:MultiMarginLoss`)."""
    loss_arguments: Arguments = Field(default_factory=dict)
    """Keyword arguments for the factory of a loss that is not cross-entropy."""
    label_smoothing: Fraction = 0.0
    """Share of the target that is spread over all classes."""
    soft_labels: bool = False
    """Trains on the votes of several people for each image, where the data have them (FER+); scores stay those of the labels."""
    epochs: Annotated[int, Field(ge=1)] = 50
    """Passes over the training images."""
    batch_size: Annotated[int, Field(ge=1)] = 128
    """Images per step."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """Adam and AdamW have Keras' epsilon of 1e-7; SGD has Nesterov momentum."""
    learning_rate: Positive = 1e-3
    """Of the optimizer; the highest one of the one_cycle schedule."""
    momentum: Fraction = 0.9
    """Of SGD (Nesterov)."""
    weight_decay: NotNegative = 0.0
    """Of SGD and AdamW; Adam has l2 instead."""
    schedule: Literal["constant", "cosine", "one_cycle", "plateau"] = "constant"
    """Of the learning rate."""
    precision: Literal["fp32", "bf16", "auto"] = "auto"
    """auto is resolved at once: bf16 where the processor or GPU computes it in hardware, else fp32, also where either may train."""
    device: Literal["cpu", "cuda", "any"] = "cpu"
    """Set by the study's `gpus`; `any`, where either may train, by its `cpu_nodes`."""
    threads: Annotated[int, Field(ge=1)] = 1
    """Of the processor; part of the key because the order of sums depends on it."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Set by the study's `seeds`."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        filled = dict(given)
        known = OWN_NETWORKS.get(str(filled.get("model", "cnn")), {})
        filled |= {field: value for field, value in known.items() if filled.get(field) is None}
        if filled.get("precision", "auto") == "auto":
            filled["precision"] = _native_precision(filled.get("device", "cpu"))
        return filled

    @model_validator(mode="after")
    def _check_reach(self) -> Self:
        for field in ("width", "dropout", "batch_norm"):
            if self.model not in OWN_NETWORKS and getattr(self, field) is not None:
                raise ValueError(f"{field} has no effect with model {self.model!r}; write model_arguments: {{...}} with its factory's own")
        without = {"model": self.model in OWN_NETWORKS, "loss": self.loss == "cross_entropy", "transform": self.transform is None}
        for field, takes_none in without.items():
            if takes_none and getattr(self, f"{field}_arguments"):
                raise ValueError(f"{field}_arguments have no effect with {field} {getattr(self, field)!r}")
        if self.loss != "cross_entropy" and self.label_smoothing:
            raise ValueError(f"label_smoothing has no effect with loss {self.loss!r}; leave it out, or use loss_arguments")
        if self.loss != "cross_entropy" and self.soft_labels:
            raise ValueError(f"soft_labels are for cross_entropy, not loss {self.loss!r}; leave them out")
        if self.weight_decay and self.optimizer == "adam":
            raise ValueError("weight_decay has no effect with optimizer 'adam'; use l2, or optimizer 'adamw'")
        if self.optimizer != "sgd" and self.momentum != type(self).model_fields["momentum"].default:
            raise ValueError(f"momentum has no effect with optimizer {self.optimizer!r}; leave it out, or use optimizer 'sgd'")
        return self

    @classmethod
    def parse(cls, given: dict[str, Any], *, where: str = "config") -> Config:
        """Validates a mapping; raises ConfigError that names each fault, its place and the nearest known field."""
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise explain(error, where=where, fields=field_names()) from None

    def on(self, device: Literal["cpu", "cuda"]) -> Config:
        """The settings of a training on this device where any will do, and these as they are where one is asked for.

        They are for the training alone: the key is that of ``any``, whichever device it comes to be.
        """
        return self.model_copy(update={"device": device}) if self.device == "any" else self

    def flat(self) -> dict[str, Any]:
        """The settings as one level of dotted names (``augmentation.rotation``), in the order of the fields."""
        return flatten(self.model_dump())


def flatten(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level of dotted names."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def merge(base: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """The base with the overrides laid over it, nested mappings merged, and dotted names reaching into them."""
    merged = dict(base)
    for name, value in overrides.items():
        head, dot, rest = name.partition(".")
        inner = {rest: value} if dot else value
        below = merged.get(head)
        if isinstance(inner, dict):
            merged[head] = merge(below if isinstance(below, dict) else {}, inner)
        else:
            merged[head] = inner
    return merged


def overlay(base: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Settings with overrides laid over them, where what belongs to one network, loss or transform goes with it.

    Overrides that name another network therefore do not inherit the arguments and the weights of the one before, nor, where it is not
    ferray's own, the fields that only ferray's own networks have.
    """
    merged = merge(base, overrides)
    own = merge({}, overrides)
    for field in ("model", "loss", "transform"):
        if field in own and own[field] != base.get(field, Config.model_fields[field].default):
            names = [f"{field}_arguments"]
            if field == "model":
                names += ["pretrained"] if own[field] in list(OWN_NETWORKS) else ["pretrained", *OWN_NETWORKS["cnn"]]
            for name in names:
                merged.pop(name, None)
                merged |= {name: own[name]} if name in own else {}
    return merged


def field_names() -> list[str]:
    """Every dotted name that a config has; mappings of arguments, below which any name may stand, by their own."""
    config = Config()
    return [*config.flat(), *(name for name, value in config.model_dump().items() if value == {})]


def digest(value: Any) -> str:
    """SHA-256 of a JSON value in its canonical form, as hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def trial_identity(config: Config, data_fingerprint: str, files: Mapping[str, str] | None = None) -> dict[str, Any]:
    """All that a trial's key stands for. ``files`` holds digests of what the config names without holding it, by field."""
    identity: dict[str, Any] = {"config": config.model_dump(), "data": data_fingerprint, "engine": ENGINE_VERSION}
    return {**identity, "files": dict(files)} if files else identity


def trial_key(config: Config, data_fingerprint: str, files: Mapping[str, str] | None = None) -> str:
    """The content address of a trial: everything of ferray's, and of the user's, that can change its numbers, and nothing else.

    With the same libraries on the same kind of processor, equal keys mean equal numbers.
    """
    return digest(trial_identity(config, data_fingerprint, files))[:KEY_LENGTH]


def _native_precision(device: Any) -> str:
    """bf16 where it is computed in hardware: GPUs that ferray targets, and processors with avx512_bf16 or AMX.

    Where any device may train, fp32, which all compute: what the others have nobody knows yet, and precision changes the numbers more.
    """
    if device == "any":
        return "fp32"
    if device == "cuda":
        return "bf16"
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return "fp32"
    return "bf16" if "avx512_bf16" in flags or "amx_bf16" in flags else "fp32"
