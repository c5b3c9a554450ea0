"""What a reader must know before any number of a study, on the page and in the terminal."""

from __future__ import annotations

from ferray.analysis.results import Results
from ferray.analysis.twins import twin_sentences
from ferray.analysis.wording import sentence


def remarks(results: Results) -> list[str]:
    """Figures that are absent, with the reason; images that two splits share; settings that reached nothing. Empty where all is well."""
    return [*_missing(results), *near_identical(results), *twin_sentences(results)]


def near_identical(results: Results) -> list[str]:
    """The data's notes about near-identical images on both sides of a split."""
    return [sentence(note) for note in notes(results) if "identical" in note]


def notes(results: Results) -> list[str]:
    """What was done to the data before they were a data set, as its source tells."""
    return [str(note) for note in results.data.get("notes") or ()]


def _missing(results: Results) -> list[str]:
    searched = results.trials["sample"].nunique() > 1
    label = results.split_labels["validation"]
    selected = "each trial's epoch and each variant's sample were" if searched else "each trial's epoch was"
    return [
        f"There are no figures on the {split} set. {sentence(reason)} Accuracies are therefore told of the {label} set, on which "
        f"{selected} selected: they are optimistic, and no unseen images bear them out."
        for split, reason in results.missing.items()
    ]
