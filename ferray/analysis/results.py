"""What a ledger holds about a study, as data frames; a picture of the moment of loading."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ferray.analysis import seal
from ferray.analysis.predictions import EVALUATED, Which, prediction_frame
from ferray.analysis.trials import Damage, Trial, read_trial, reason
from ferray.analysis.variants import Variant
from ferray.analysis.wording import split_label
from ferray.config import flatten, overlay
from ferray.errors import LedgerError
from ferray.ledger import Ledger

METRICS = tuple(f"{split}_{metric}" for split in ("train", *EVALUATED) for metric in ("loss", "accuracy", "macro_f1"))


@dataclass(frozen=True)
class Results:
    """The trials of one study, or of a whole ledger when ``study`` is None. Made by ``Results.load``."""

    ledger: Ledger
    study: Mapping[str, Any] | None
    damaged: list[Damage]
    _plan: tuple[Mapping[str, Any], ...] = field(repr=False)
    _reads: Mapping[str, Trial] = field(repr=False)
    _arrays: dict[str, dict[str, NDArray[Any]] | None] = field(repr=False, compare=False, default_factory=dict)
    _is_open: bool = field(repr=False, default=False)

    @classmethod
    def load(cls, storage: str | os.PathLike[str] | Ledger, study: str | None = None) -> Results:
        """Reads all that the ledger holds about a study, or about every trial in it without one.

        Works while the study runs (unfinished trials have the epochs so far), and on a copied folder. What cannot be read is listed
        in ``damaged`` and appears as a row of status ``damaged``. Raises LedgerError where there is no such storage or study.
        """
        ledger = storage if isinstance(storage, Ledger) else Ledger(storage)
        if not ledger.path.exists():
            raise LedgerError(f"no storage folder {ledger.path}; trials are kept there once a study has run")
        damaged: list[Damage] = []
        document = None
        plan: list[Mapping[str, Any]] = []
        if study is not None:
            document = ledger.study(study)
            plan = [{**entry, "study": study} for entry in document["plan"]]
        else:
            begun = ledger.keys()
            owned: dict[str, Mapping[str, Any]] = {}
            for name in ledger.studies():
                try:
                    for entry in ledger.study(name)["plan"]:
                        owned.setdefault(entry["key"], {**entry, "study": name})
                except (LedgerError, KeyError) as error:
                    damaged.append(Damage(f"study {name}", reason(error)))
            plan = [owned.get(key, {"key": key}) for key in begun]
        reads = {key: read_trial(ledger, key, damaged) for key in dict.fromkeys(entry["key"] for entry in plan)}
        return cls(ledger, document, damaged, tuple(plan), reads)

    def open_test(self) -> Results:
        """The same with the test figures of all trials, those of ``sealed`` among them, which the ledger then tells as an opening.

        What is chosen by them afterwards is not measured by them. Raises LedgerError where the opening cannot be written down.
        """
        opened = replace(self, _is_open=True)
        fault = seal.record_opening(opened, "python")
        if fault is not None:
            raise LedgerError(f"the test set stays sealed, since its opening cannot be told: {fault}")
        return opened

    @cached_property
    def sealed(self) -> frozenset[str]:
        """Keys of the trials without test figures: they help to choose, and are not final; see ferray.analysis.seal."""
        return frozenset() if self._is_open else seal.sealed_keys(self._trials)

    # What the study says

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
    def plan(self) -> tuple[Mapping[str, Any], ...]:
        """The planned trials: key, variant, sample, seed and the search values of the sample."""
        return self._plan

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

    def redrawn(self, split: str) -> float | None:
        """None where all trials share a split's images; else how many of them there are for each training image.

        A validation split that the data lack is drawn from the training images by each trial's seed, in the order of its classes: labels
        are the same for all seeds, and images are not (see ``Dataset.for_seed``).
        """
        if split != "validation" or self.data.get("validation_split") != "seed":
            return None
        return self.images_in(split) / self.images_in("train")

    # Frames

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per planned trial; those that have not begun have status ``missing``.

        - key, study, variant, phase (see ferray.trial.Phase), status: text;
          status is finished, diverged, stopped (early, by a scheduler), failed, running, interrupted, missing or damaged
        - sample, seed, selected_epoch, epochs (recorded so far), parameters, attempts: whole numbers, <NA> where there is none
        - seconds: of all epochs together, without the time between attempts
        - ``{train,validation,test}_{loss,accuracy,macro_f1}`` at the selected epoch, NaN for trials without one (a diverged one may have
          one), and ``last_*``, the same at the last epoch; shares lie in 0..1; ``test_*`` are all NaN where ``splits`` has no test split,
          and for the trials of ``sealed``
        - ``config.*``: every setting of the trial, nested ones by dotted names; NaN or None where a trial has no such setting
        - error: type and message of a failure, or None
        """
        return seal.closed(self._trials.copy(), self.sealed)

    @cached_property
    def _trials(self) -> pd.DataFrame:
        frame = pd.DataFrame([self._row(entry) for entry in self._plan])
        names = ["key", "study", "variant", "sample", "seed", "phase", "status"]
        names += ["selected_epoch", "epochs", "parameters", "seconds", "attempts"]
        metrics = [*METRICS, *(f"last_{name}" for name in METRICS)]
        settings = [name for name in frame.columns if name.startswith("config.")]
        frame = frame.reindex(columns=[*names, *metrics, *settings, "error"])
        whole = ("sample", "seed", "selected_epoch", "epochs", "parameters", "attempts")
        return frame.astype({**dict.fromkeys(whole, "Int64"), **dict.fromkeys(("seconds", *metrics), float)})

    @cached_property
    def speaking(self) -> pd.DataFrame:
        """The rows of ``trials`` that speak for their variants; see ferray.analysis.selection, which gives copies of it."""
        trials = self.trials[self.trials["phase"] == "final"]
        return trials[trials["sample"] == trials["variant"].map(self.chosen_samples)]

    @cached_property
    def chosen_samples(self) -> dict[str, int]:
        """By variant the sample that speaks for it; see ferray.analysis.selection, which gives copies of it."""
        if self.tuning:
            return dict(self.tuning["chosen"])
        chosen = seal.chosen_samples(self.trials)
        for variant in self.variants:
            if variant not in chosen:
                own = self.trials.loc[self.trials["variant"] == variant, "sample"]
                chosen[variant] = int(own.min()) if len(own) else 0
        return chosen

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One row per trial and epoch: key, variant, sample, seed and status of the trial, then what the epoch recorded.

        That is epoch (from 1), ``{train,validation,test}_{loss,accuracy,macro_f1}`` as in ``trials``, penalty (the l1 and l2 term),
        learning_rate, seconds and images_per_second; NaN for what was not finite, and for a split without figures or a sealed one.
        """
        rows = []
        for entry in self._plan:
            read = self._reads[entry["key"]]
            own = {**self.place(entry), "status": read.status}
            rows += [{**own, **row} for row in read.epochs]
        measured = [*METRICS, "penalty", "learning_rate", "seconds", "images_per_second"]
        names = ["key", "variant", "sample", "seed", "phase", "status", "epoch", *measured]
        frame = pd.DataFrame(rows, columns=None if rows else names)
        frame = frame.reindex(columns=[*names, *(name for name in frame.columns if name not in names)])
        frame = frame.astype({"sample": "Int64", "seed": "Int64", "epoch": "int64", **dict.fromkeys(measured, float)})
        return seal.closed(frame, self.sealed)

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """One row per trial, split and image at the selected epoch; see ``prediction_frame``."""
        return self.prediction_frame()

    def prediction_frame(self, which: Which = "selected", keys: Iterable[str] | None = None) -> pd.DataFrame:
        """One row per trial, split and image: key, variant, sample, seed, split, image, label, predicted, one probability per class.

        ``which`` is the selected or the last epoch, ``keys`` limits the trials. ``image`` is the place in the split, from 0; where
        the split is ``redrawn``, in that of the trial's seed, and equal numbers of two seeds are different images. ``label`` and
        ``predicted`` are categories over the same classes and may be compared; the probabilities' columns carry the classes' names
        (``class label`` for a class that is called like another column).
        Trials that left no predictions (failed, unfinished) have no rows, sealed ones none on test.
        Test images of unknown class have NaN for a label.
        """
        return prediction_frame(self, which, keys)

    # Arrays

    def probabilities(self, key: str, split: str, which: Which = "selected") -> NDArray[np.float32] | None:
        """Class probabilities [images, classes] of one trial, or None where it left none or they are sealed; each file is read once."""
        if split == seal.SEALED and key in self.sealed:
            return None
        if key not in self._arrays:
            self._arrays[key] = self._try(key, lambda: self._predictions(key))
        arrays = self._arrays[key]
        return None if arrays is None else arrays.get(f"{split}_{which}")

    def labels(self, split: str) -> NDArray[np.int64] | None:
        """The true class of each image of the study's data, -1 where it is unknown, or None where the ledger does not hold it."""
        return self._evaluation(self.data["fingerprint"], f"{split}_labels")

    def votes(self, split: str) -> NDArray[np.float32] | None:
        """How people voted on each image [n, classes], or None without votes; a row of zeros where nobody chose one of the classes."""
        return self._evaluation(self.data["fingerprint"], f"{split}_votes")

    def images(self, split: str) -> NDArray[np.uint8] | None:
        """The images [n, channels, height, width] of the study's data, or None where the ledger does not hold them."""
        return self._evaluation(self.data["fingerprint"], f"{split}_images")

    def labels_of(self, key: str, split: str) -> NDArray[np.int64] | None:
        """The true class of each image of a trial's own data."""
        return self._evaluation(self._reads[key].identity.get("data", ""), f"{split}_labels")

    def classes_of(self, key: str) -> tuple[str, ...]:
        """The classes of a trial's own data."""
        if self.study is not None:
            return self.classes
        fingerprint = self._reads[key].identity.get("data", "")
        data = self._try(f"data {fingerprint}", lambda: self.ledger.data(fingerprint))
        return () if data is None else tuple(data["classes"])

    def place(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """What tells a planned trial apart; the seed of a trial that no study plans is in its config."""
        seed = entry.get("seed", self._reads[entry["key"]].identity.get("config", {}).get("seed"))
        phase = entry.get("phase", "final")
        return {"key": entry["key"], "variant": entry.get("variant"), "sample": entry.get("sample", 0), "seed": seed, "phase": phase}

    def config(self, key: str) -> dict[str, Any]:
        """The settings of a planned trial: its own, or what the study plans where it has not begun."""
        return next(self._config(entry, self._reads[key]) for entry in self._plan if entry["key"] == key)

    def files(self, key: str) -> Mapping[str, str]:
        """Digests of the sources and weights that a trial stands on, by the setting that names them."""
        return dict(self._reads[key].identity.get("files") or {})

    def record(self, key: str) -> Mapping[str, Any]:
        """How a trial ended, with environment and error; empty while it has not."""
        return self._reads[key].record

    def _predictions(self, key: str) -> dict[str, NDArray[np.float32]] | None:
        arrays = self.ledger.predictions(key)
        if arrays is None and self._reads[key].status == "finished":
            raise LedgerError(f"{self.ledger.predictions_file(key)} is missing, which every finished trial leaves")
        return arrays

    def _evaluation(self, fingerprint: str, name: str) -> NDArray[Any] | None:
        place = f"data {fingerprint}"
        if place not in self._arrays:
            self._arrays[place] = self._try(place, lambda: self.ledger.evaluation(fingerprint))
        arrays = self._arrays[place]
        return None if arrays is None else arrays.get(name)

    def _try(self, key: str, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except (LedgerError, FileNotFoundError) as error:
            damage = Damage(key, reason(error))
            if damage not in self.damaged:
                self.damaged.append(damage)
            return None

    def _row(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        read = self._reads[entry["key"]]
        row = {**self.place(entry), "study": entry.get("study"), "status": read.status}
        for name in ("selected_epoch", "parameters", "seconds", "attempts"):
            row[name] = _number(read.record.get(name))
        row["epochs"] = len(read.epochs)
        if read.epochs:
            row |= {f"last_{name}": _number(read.epochs[-1].get(name)) for name in METRICS}
            at = next((one for one in read.epochs if one["epoch"] == read.record.get("selected_epoch")), {})
            row |= {name: _number(at.get(name)) for name in METRICS}
        row |= {f"config.{name}": value for name, value in flatten(self._config(entry, read)).items()}
        error = read.record.get("error")
        row["error"] = f"{error['type']}: {error['message']}" if error else None
        return row

    def _config(self, entry: Mapping[str, Any], read: Trial) -> dict[str, Any]:
        """The settings of a trial: its own, or what the study plans where it has not begun."""
        if read.identity:
            return dict(read.identity["config"])
        if self.study is None or entry["variant"] not in self.variants:
            return {}
        return overlay(dict(self.variants[entry["variant"]].config), {**entry["overrides"], "seed": entry["seed"]})


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
