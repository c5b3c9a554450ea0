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
from ferray.analysis.description import Description
from ferray.analysis.predictions import EVALUATED, Which, prediction_frame
from ferray.analysis.trials import Damage, Trial, read_trial, reason
from ferray.config import flatten, overlay
from ferray.errors import LedgerError
from ferray.ledger import Ledger

METRICS = tuple(f"{split}_{metric}" for split in ("train", *EVALUATED) for metric in ("loss", "accuracy", "macro_f1"))


@dataclass(frozen=True)
class Results(Description):
    """The trials of one study, or of a whole ledger when ``study`` is None. Made by ``Results.load``."""

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

    # Frames

    @property
    def plan(self) -> tuple[Mapping[str, Any], ...]:
        """The planned trials: key, variant, sample, seed and the search values of the sample."""
        return self._plan

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
