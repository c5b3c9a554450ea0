"""A made-up ledger of many finished trials, written by the ledger's own writer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ferray.data import Dataset

REMOVED = ("augmentation", "input_scaling", "batch_norm", "dropout")
"""Taken away one at a time, so that there are five variants."""


def make(storage: Path, trials: int, *, epochs: int, images: int, predictions: bool = True) -> str:
    """Writes a study with so many trials of so many epochs and gives its name.

    Validation and test have ``images`` each, with the probabilities of each at the selected and the last epoch where there are
    ``predictions``. The variants are about equally good, and the numbers are drawn.
    """
    from ferray import Study, environment
    from ferray.ledger import Ledger
    from ferray.ledger.writer import LedgerWriter
    from ferray.running.study_record import save

    base = {"model": "cnn", "epochs": epochs, "dropout": 0.5, "augmentation": {"rotation": 31.4, "horizontal_flip": 0.5}}
    seeds = max(1, trials // (len(REMOVED) + 1))
    ablate = {"design": "leave_one_out", "remove": list(REMOVED)}
    study = Study(name="many", data={"source": "synthetic", "images": 4 * images}, base=base, ablate=ablate, seeds=seeds)
    data = study.load_data()
    plan = study.plan(data)
    ledger, writer = Ledger(storage), LedgerWriter(storage)
    save(writer, study, plan, data, None)
    machine = environment.describe()
    for number, trial in enumerate(plan):
        generator = np.random.default_rng(number)
        begun = writer.begin(trial.key, trial.identity, environment=machine)
        rows = [_row(epoch, epochs, generator) for epoch in range(1, epochs + 1)]
        # All but the last at once: the writer brings each to disk, which is what trials wait for and not what is measured here.
        ledger.epochs_file(trial.key).write_text("".join(f"{json.dumps(row)}\n" for row in rows[:-1]), encoding="utf-8")
        writer.append(trial.key, begun.attempt, rows[-1])
        best = max(rows, key=lambda row: float(row["validation_accuracy"]))
        summary = {"status": "finished", "selected_epoch": best["epoch"], "parameters": 1_919_079, "error": None, "environment": machine}
        writer.finish(trial.key, begun.attempt, summary, _predictions(data, generator) if predictions else None)
    return study.name


def _row(epoch: int, epochs: int, generator: np.random.Generator) -> dict[str, float | int]:
    """As ``fit`` gives them."""
    reached = 0.6 * (1 - 0.75 * np.exp(-3.5 * epoch / epochs))
    row: dict[str, float | int] = {"epoch": epoch}
    for split in ("train", "validation", "test"):
        accuracy = float(reached + generator.normal(0, 0.01))
        row |= {f"{split}_loss": 1.9 - 1.4 * accuracy, f"{split}_accuracy": accuracy, f"{split}_macro_f1": accuracy - 0.03}
    return {**row, "penalty": 0.3, "learning_rate": 1e-3, "seconds": 6.1, "images_per_second": 650.0}


def _predictions(data: Dataset, generator: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    found = {}
    for name in ("validation", "test"):
        labels = data.splits[name].labels
        for epoch in ("selected", "last"):
            logits = generator.gumbel(size=(len(labels), len(data.classes)))
            logits[np.arange(len(labels)), labels] += 2.0
            odds = np.exp(logits)
            found[f"{name}_{epoch}"] = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
    return found
