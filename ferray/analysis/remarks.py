"""What a reader must know before any number of a study, on the page and in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ferray.analysis.chance import chance_sentences
from ferray.analysis.claims import Claim
from ferray.analysis.constant import constant_sentences
from ferray.analysis.devices import device_sentences
from ferray.analysis.divergence import divergence_claims, divergence_remarks
from ferray.analysis.results import Results
from ferray.analysis.twins import twin_sentences
from ferray.analysis.wording import sentence
from ferray.config import flatten


def remarks(results: Results, divergences: Sequence[Claim] | None = None) -> list[str]:
    """What a reader must know before any number; ``divergences`` are the claims of ``divergence_claims`` where they are at hand.

    Figures that are absent, with the reason; images that two splits share; kinds of devices that variants were compared across; a baseline
    that is no better than one answer; variants that lose trainings; trials of one answer; settings that reached nothing.

    Empty where all is well.
    """
    return [
        *_missing(results),
        *near_identical(results),
        *device_sentences(results),
        *chance_sentences(results),
        *divergence_remarks(divergence_claims(results) if divergences is None else divergences),
        *constant_sentences(results),
        *twin_sentences(results),
    ]


def near_identical(results: Results) -> list[str]:
    """The data's notes about near-identical images on both sides of a split."""
    part = " That is counted in the whole data set, of which this study takes a part." if subset(results) else ""
    return [f"{sentence(note)}{part}" for note in results.data.get("notes") or () if "identical" in note]


def notes(results: Results) -> list[str]:
    """What was done to the data before the study had them, as their source tells, which knows nothing of the part that a study takes."""
    part = subset(results)
    rest = "all images" if _setting(results, "data.subset_of") == "training" else "the same share"
    taken = [f"of the whole data set the study takes {part:,} training images, and {rest} of the other splits"] if part else []
    return [*(str(note) for note in results.data.get("notes") or ()), *taken]


def subset(results: Results) -> int | None:
    """How many training images the study takes of its data set, or None where it takes all."""
    taken: int | None = _setting(results, "data.subset")
    return taken


def _setting(results: Results, name: str) -> Any:
    return flatten((results.study or {}).get("settings", {})).get(name)


def _missing(results: Results) -> list[str]:
    searched = results.trials["sample"].nunique() > 1
    label = results.split_labels["validation"]
    selected = "each trial's epoch and each variant's sample were" if searched else "each trial's epoch was"
    return [
        f"There are no figures on the {split} set. {sentence(reason)} Accuracies are therefore told of the {label} set, on which "
        f"{selected} selected: they are optimistic, and no unseen images bear them out."
        for split, reason in results.missing.items()
    ]
