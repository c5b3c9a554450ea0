"""One trial's complete, resolved settings, and the digest that is its address in the ledger."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ferray.errors import ConfigError, explain

ENGINE_VERSION = "1"
"""Raised whenever a change to the code alters the numbers of a training, so that older records are not taken for its result."""

KEY_LENGTH = 32
"""Hexadecimal digits of a key: 128 bits, so that two different trials never share one."""


class Frozen(BaseModel):
    """Settings that cannot change after validation, take keywords only, and refuse fields that they do not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True)


OneZero = AfterValidator(lambda number: number + 0.0)
"""Turns -0.0, which JSON tells apart, into 0.0: equal numbers have equal keys."""

Probability = Annotated[float, Field(ge=0, le=1), OneZero]
Fraction = Annotated[float, Field(ge=0, lt=1), OneZero]
Angle = Annotated[float, Field(ge=0, le=180), OneZero]
Positive = Annotated[float, Field(gt=0), OneZero]
NotNegative = Annotated[float, Field(ge=0), OneZero]


class Augmentation(Frozen):
    """Random changes to each training image, drawn image by image; zero switches a transform off."""

    rotation: Angle = 0.0  # degrees; the angle is uniform in +-rotation
    horizontal_flip: Probability = 0.0  # probability of mirroring
    shift: Fraction = 0.0  # of the width and the height, each uniform in +-shift
    zoom: Fraction = 0.0  # the factor is uniform in 1 +- zoom, one for both axes
    brightness: Fraction = 0.0  # added to pixels in 0..1, uniform in +-brightness
    contrast: Fraction = 0.0  # the factor about the image's mean is uniform in 1 +- contrast
    erasing: Probability = 0.0  # probability of overwriting a rectangle of 2 to 33 % of the image with its mean


class Config(Frozen):
    """Everything that decides the numbers of one training, apart from the data.

    Fields left at None are filled in by validation with what the network is known for (the CNN drops half of its features and
    normalizes batches, the DNN does neither), so that a Config is always complete.
    """

    model: Literal["cnn", "dnn"] = "cnn"
    width: Positive = 1.0  # multiplies every hidden layer's filters or units
    dropout: Fraction | None = None  # probability of dropping a feature in the head
    batch_norm: bool | None = None  # batch normalization after every convolution (cnn) or hidden layer (dnn)
    input_normalization: Literal["none", "scale", "standardize", "per_image"] = "scale"  # 0..255 kept, 0..1, by the training set, by itself
    augmentation: Augmentation = Augmentation()
    l1: NotNegative = 0.0  # times sum |w| over kernels, added to the loss
    l2: NotNegative = 0.0  # times sum w^2 over kernels, added to the loss
    label_smoothing: Fraction = 0.0
    epochs: Annotated[int, Field(ge=1)] = 50
    batch_size: Annotated[int, Field(ge=1)] = 128
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: Positive = 1e-3
    momentum: Fraction = 0.9  # of SGD (Nesterov)
    weight_decay: NotNegative = 0.0  # of SGD and AdamW; Adam has l2 instead
    schedule: Literal["constant", "cosine", "one_cycle", "plateau"] = "constant"
    precision: Literal["fp32", "bf16", "auto"] = "auto"  # resolved at once: bf16 where the processor or GPU has it
    device: Literal["cpu", "cuda"] = "cpu"
    threads: Annotated[int, Field(ge=1)] = 1  # of the processor; part of the key because the order of sums depends on it
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        filled = dict(given)
        is_cnn = filled.get("model", "cnn") == "cnn"
        if filled.get("dropout") is None:
            filled["dropout"] = 0.5 if is_cnn else 0.0
        if filled.get("batch_norm") is None:
            filled["batch_norm"] = is_cnn
        if filled.get("precision", "auto") == "auto":
            filled["precision"] = _native_precision(filled.get("device", "cpu"))
        return filled

    @model_validator(mode="after")
    def _check_reach(self) -> Self:
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

    def flat(self) -> dict[str, Any]:
        """The settings as one level of dotted names (``augmentation.rotation``), in the order of the fields."""
        return flatten(self.model_dump())


class DataSource(Frozen):
    """Where the images come from."""

    source: Literal["synthetic", "fer2013"] = "synthetic"
    path: str | None = None  # of a file or folder; synthetic faces need none
    subset: Annotated[int, Field(ge=1)] | None = None  # keeps so many training images, stratified, and the same share of the other splits
    images: Annotated[int, Field(ge=70, le=10_000_000)] = 4000  # synthetic training images; validation and test hold a quarter of it each
    seed: Annotated[int, Field(ge=0)] = 0  # of the synthetic faces and of the subset

    def located(self, path: str | Path | None) -> DataSource:
        """The same source at another place; None leaves it as it is."""
        return self if path is None else self.model_copy(update={"path": str(path)})


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


def field_names() -> list[str]:
    """Every dotted name that a config has."""
    return list(Config().flat())


def digest(value: Any) -> str:
    """SHA-256 of a JSON value in its canonical form, as hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def trial_key(config: Config, data_fingerprint: str) -> str:
    """The content address of a trial: everything of ferray's that can change its numbers, and nothing else.

    With the same libraries on the same kind of processor, equal keys mean equal numbers.
    """
    return digest({"config": config.model_dump(), "data": data_fingerprint, "engine": ENGINE_VERSION})[:KEY_LENGTH]


def _native_precision(device: Any) -> str:
    """bf16 where it is computed in hardware: GPUs that ferray targets, and processors with avx512_bf16 or AMX."""
    if device == "cuda":
        return "bf16"
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return "fp32"
    return "bf16" if "avx512_bf16" in flags or "amx_bf16" in flags else "fp32"


__all__ = ["Augmentation", "Config", "ConfigError", "DataSource", "digest", "field_names", "flatten", "merge", "trial_key"]
