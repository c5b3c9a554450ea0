"""Claims: what a study says, in a form that a machine can read; the report's sentences and figures are made from them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ferray import atomic
from ferray.analysis.statistics import Estimate

FORMAT = 1
"""Of claims.json; raised when a field changes its meaning."""

Verdict = Literal["helps", "hurts", "no effect", "inconclusive"]


@dataclass(frozen=True)
class Claim:
    """One statement with all that it rests on.

    ``estimates`` holds the number by what it may be generalized to (``seeds``, ``images``, ``both``), in ``unit``. An effect is told in
    the direction of its subject: of a factor, how much better the network is *with* it; of a named variant, how much better it is than
    the baseline. ``verdict`` is decided by ``decided_by``, one of the estimates, with ``p_adjusted`` (Holm, over the ``family``) against
    ``margin``, the smallest effect that counts; None where the claim has none.
    """

    name: str  # unique within the study, such as "effect/augmentation/test/accuracy"
    kind: str  # "effect", "step", "interaction", "shapley", "divergence", "confusion", "overfitting", "calibration", "tuned", ...
    subject: str
    split: str
    metric: str
    unit: str  # "points", "nats", "share", "epochs"
    estimates: Mapping[str, Estimate]
    methods: Mapping[str, str]  # by the same names
    keys: tuple[str, ...]  # of the trials that it rests on
    sentence: str
    compared: tuple[str, str] | None = None  # the variants with and without
    family: str = ""
    verdict: Verdict | None = None
    decided_by: str = ""
    p_adjusted: float = math.nan
    p_equivalence: float = math.nan  # adjusted; of the hypothesis that the effect is at least the margin
    margin: float = math.nan
    effect_size: float = math.nan  # Hedges' g of the paired differences over seeds
    seeds_needed: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)  # planned, paired, diverged, failed, missing, images
    caveats: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


def block_counts(planned: int, seeds: int, lost: Iterable[str], images: int, image_groups: int) -> dict[str, int]:
    """The counts of a claim about blocks of trials: ``seeds`` are whole, and ``lost`` has the status of each trial that keeps one out."""
    statuses = list(lost)
    diverged, failed = statuses.count("diverged"), statuses.count("failed")
    return {
        "planned": planned,
        "paired": seeds,
        "diverged": diverged,
        "failed": failed,
        "missing": len(statuses) - diverged - failed,
        "images": images,
        "image_groups": image_groups,
    }


def as_json(study: str, claims: Iterable[Claim]) -> dict[str, Any]:
    """The claims of a study as a JSON object; numbers that are not finite are null."""
    return {"format": FORMAT, "study": study, "claims": [_plain(asdict(claim)) for claim in claims]}


def write(file: Path, study: str, claims: Iterable[Claim]) -> None:
    """Writes claims.json."""
    atomic.write(file, json.dumps(as_json(study, claims), indent=1, allow_nan=False, ensure_ascii=False).encode())


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
