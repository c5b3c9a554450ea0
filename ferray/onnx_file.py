"""A trained network as an ONNX file: images with pixels in 0..255 in, class probabilities out, any number at once."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from ferray import trained_model
from ferray.errors import ModelError

TOLERANCE = 1e-3
"""Probabilities by onnxruntime and by torch may differ by so much: the order of sums is another."""


def dump(description: Mapping[str, Any], weights: bytes, sources: Mapping[str, bytes]) -> bytes:
    """The content of the file: input ``images`` float32 [n, channels, height, width], output ``probabilities`` float32 [n, classes].

    Normalization is inside, and it computes in float32, whatever the training did. The metadata hold the class names as ``classes``
    and all of model.json as ``ferray``, both as JSON. Raises ModelError where onnx is not installed or the network has no such form.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  # torch.onnx needs it
    except ImportError:
        raise ModelError(
            "--onnx needs onnx and onnxscript, which are not installed here: pip install -c constraints.txt -e '.[onnx]'"
        ) from None
    import torch

    network = trained_model.pipeline(description, weights, sources, precision="fp32")
    shape = description["preprocessing"]
    example = torch.zeros(2, shape["channels"], shape["height"], shape["width"])
    dynamic = ({0: torch.export.Dim("n", min=1)},)
    names = {"input_names": ["images"], "output_names": ["probabilities"]}
    try:
        with _quiet():
            program = torch.onnx.export(network, (example,), dynamo=True, dynamic_shapes=dynamic, verbose=False, **names)  # type: ignore[arg-type]
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(f"the network {description['config']['model']!r} has no ONNX form: {type(error).__name__}: {reason}") from error
    if program is None:
        raise ModelError("torch made no ONNX program")
    proto = program.model_proto
    metadata = {"classes": json.dumps(list(description["classes"])), "ferray": json.dumps(dict(description))}
    onnx.helper.set_model_props(proto, metadata)
    content: bytes = proto.SerializeToString()
    return content


def difference(content: bytes, model: trained_model.Model) -> float | None:
    """The largest difference between its probabilities of some images and those of torch; None where onnxruntime is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).integers(0, 256, (5, *model.image_shape), np.uint8)
    found = session.run(None, {"images": images.astype(np.float32)})[0]
    return float(np.abs(found - model.probabilities(images)).max())


@contextlib.contextmanager
def _quiet() -> Any:
    """Keeps the exporter's own chatter off the terminal; what it raises is told."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
