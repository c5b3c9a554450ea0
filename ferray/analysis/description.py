"""What a study says of itself in its ledger: its data, its variants, and how these were formed and tuned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ferray.analysis.predictions import EVALUATED
from ferray.analysis.variants import Variant
from ferray.analysis.wording import split_label
from ferray.errors import LedgerError
from ferray.ledger import Ledger


@dataclass(frozen=True)
class Description:
    """The document of one study in a ledger; without one (``study`` is None), what is asked of it raises LedgerError."""

    ledger: Ledger
    study: Mapping[str, Any] | None

    @property
    def _document(self) -> Mapping[str, Any]:
        if self.study is None:
            raise LedgerError(f"this needs one study, not all trials of {self.ledger.path}; load it with Results.load(storage, study)")
        return self.study

    @property
    def name(self) -> str:
        """The study's name."""
        return str(self._document["name"])

    @property
    def data(self) -> Mapping[str, Any]:
        """Name, classes, counts and shape of the study's data."""
        data: Mapping[str, Any] = self._document["data"]
        return data

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of their labels."""
        return tuple(self.data["classes"])

    @property
    def synthetic(self) -> bool:
        """Whether the data are made up, which everything printed from them must say."""
        return bool(self.data["synthetic"])

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have figures: validation, and test where its images are there with their classes."""
        return tuple(split for split in EVALUATED if split not in self.missing)

    @property
    def headline(self) -> str:
        """The split whose figures are told first: test, or validation where the test split has none."""
        return self.splits[-1]

    @property
    def missing(self) -> Mapping[str, str]:
        """Why a split has no figures, by split."""
        told = dict(self.data.get("missing") or {})
        return told if told or self.images_in("test") else {"test": "the data have no test images whose classes are known"}

    @property
    def split_labels(self) -> dict[str, str]:
        """What each of ``splits`` is called in print; one that was made from training images is nobody's public or private test."""
        made = {split for split in self.splits for note in self.data.get("notes") or () if note.startswith(f"there is no {split} split")}
        return {split: split if made else split_label(str(self.data["name"]), split) for split in self.splits}

    @property
    def baseline(self) -> str:
        """The variant that others are compared with."""
        return str(self._document["baseline"])

    @property
    def smallest_effect(self) -> float:
        """Accuracy points; effects certainly smaller than these count as none."""
        return float(self._document.get("smallest_effect", 0.5))

    @property
    def ablation(self) -> Mapping[str, Any]:
        """The design by which factors were taken away (``design``, ``factors`` and what the design adds); empty without one."""
        return dict(self._document.get("ablation") or {})

    @property
    def tuning(self) -> Mapping[str, Any]:
        """How settings were chosen for each variant before the variants were compared; empty where they were not.

        ``seeds`` of tuning, ``scheduler``, and ``chosen``: each variant's best sample, empty while tuning goes on. Then a variant that it
        lacks had no finished trial to choose from.
        """
        return dict(self._document.get("tuning") or {})

    @cached_property
    def variants(self) -> dict[str, Variant]:
        """The study's variants by name, the baseline first and removals in the order of their path."""
        return {
            name: Variant(name, given["overrides"], tuple(given["removed"]), given["config"])
            for name, given in self._document["variants"].items()
        }

    def published(self, variant: str, split: str) -> float | None:
        """An accuracy (0..1) from the literature to print beside ours, where the study gives one."""
        value = (self._document.get("published") or {}).get(variant, {}).get(split)
        return None if value is None else float(value)

    def published_epochs(self, variant: str) -> int | None:
        """The epochs that a variant's published accuracies were trained for, where the study says so."""
        return (self._document.get("published") or {}).get(variant, {}).get("epochs")  # type: ignore[no-any-return]

    def images_in(self, split: str) -> int:
        """How many images a split holds."""
        return int(sum(self.data["counts"][split].values()))

    def majority(self, split: str) -> float:
        """The accuracy in percent of always answering a split's largest class."""
        largest = int(max(self.data["counts"][split].values()))
        return 100 * largest / max(1, self.images_in(split))

    def redrawn(self, split: str) -> float | None:
        """None where all trials share a split's images; else how many of them there are for each training image.

        A validation split that the data lack is drawn from the training images by each trial's seed, in the order of its classes: labels
        are the same for all seeds, and images are not (see ``Dataset.for_seed``).
        """
        if split != "validation" or self.data.get("validation_split") != "seed":
            return None
        return self.images_in(split) / self.images_in("train")
