"""The seal: test figures of final configurations only, and no choice by them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ledger_fixture import PATH, Made, make_ledger

from ferray.analysis.report import make_report
from ferray.analysis.results import Results
from ferray.analysis.seal import sealed_keys
from ferray.analysis.selection import best_variant, chosen_samples
from ferray.errors import LedgerError
from ferray.ledger import openings
from ferray.ledger.details import details, page

TWO = {name: PATH[name] for name in ("cnn", "dnn")}
SAMPLES = [{"l2": 1e-5}, {"l2": 1e-4}]


@pytest.fixture
def searched(tmp_path: Path) -> Made:
    search = {"l2": {"loguniform": [1e-6, 1e-3]}}
    return make_ledger(tmp_path, variants=TWO, seeds=3, samples=SAMPLES, search=search, epochs=4, images=60)


@pytest.fixture
def plain(tmp_path: Path) -> Made:
    return make_ledger(tmp_path, variants=TWO, seeds=2, epochs=4, images=60)


def rewrite(made: Made, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the study's document in the ledger."""
    file = made.path / "studies" / made.name / "study.json"
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))


def tuned(made: Made) -> None:
    """Seed 0 helps to choose; of sample 0 the others are final, and sample 1 has no others."""

    def change(document: dict[str, Any]) -> None:
        document["plan"] = [
            {**one, "phase": "tuning" if one["seed"] == 0 else "final"}
            for one in document["plan"]
            if one["seed"] == 0 or one["sample"] == 0
        ]

    rewrite(made, change)


def test_without_a_search_nothing_is_sealed(plain: Made) -> None:
    results = Results.load(plain.path, plain.name)
    assert results.sealed == frozenset()
    assert results.trials["test_accuracy"].notna().all()


def test_samples_that_were_not_chosen_have_no_test_figures(searched: Made) -> None:
    results = Results.load(searched.path, searched.name)
    chosen = chosen_samples(results)
    for (variant, sample, _), key in searched.keys.items():
        row = results.trials.set_index("key").loc[key]
        is_open = sample == chosen[variant]
        assert (key not in results.sealed) == is_open
        assert np.isfinite(row["test_accuracy"]) == np.isfinite(row["last_test_loss"]) == is_open
        assert (results.probabilities(key, "test") is not None) == is_open
        assert results.probabilities(key, "validation") is not None
    epochs = results.epochs.set_index("key")
    assert epochs.loc[epochs.index.isin(results.sealed), ["test_loss", "test_accuracy", "test_macro_f1"]].isna().all(axis=None)
    assert epochs["validation_loss"].notna().all()
    frame = results.predictions
    assert not frame.loc[frame["split"] == "test", "key"].isin(results.sealed).any()


def test_trials_of_the_tuning_have_no_test_figures_and_final_ones_do(searched: Made) -> None:
    tuned(searched)
    trials = Results.load(searched.path, searched.name).trials
    assert trials.loc[trials["phase"] == "tuning", "test_accuracy"].isna().all()
    assert trials.loc[trials["phase"] == "final", "test_accuracy"].notna().all()


def test_a_trial_that_is_final_in_one_place_is_open(searched: Made) -> None:
    tuned(searched)
    results = Results.load(searched.path, searched.name)
    trials = results.trials.copy()
    key = trials.loc[trials["phase"] == "tuning", "key"].iloc[0]
    again = trials[trials["key"] == key].assign(phase="final")
    assert key in sealed_keys(trials)
    assert key not in sealed_keys(pd.concat([trials, again], ignore_index=True))


def test_of_a_whole_ledger_what_no_study_plans_is_sealed(plain: Made) -> None:
    rewrite(plain, lambda document: document["plan"].pop())
    results = Results.load(plain.path)
    assert results.sealed == {plain.keys["dnn", 0, 1]}


def test_opening_the_test_set_shows_all_and_is_written_down(searched: Made) -> None:
    results = Results.load(searched.path, searched.name)
    sealed = results.sealed
    opened = results.open_test()
    assert opened.trials["test_accuracy"].notna().all()
    assert results.trials["test_accuracy"].isna().any()
    (line,) = openings.read(results.ledger, searched.name)
    assert line.who == "python"
    assert sealed <= set(line.keys)
    assert set(line.configurations) == {"cnn", "cnn sample 1", "dnn", "dnn sample 1"}


def test_the_test_set_stays_sealed_where_its_opening_cannot_be_written_down(searched: Made) -> None:
    results = Results.load(searched.path, searched.name)
    results.ledger.openings_file(searched.name).mkdir()
    with pytest.raises(LedgerError, match="stays sealed"):
        results.open_test()


def test_a_report_writes_its_opening_once_and_says_so(searched: Made) -> None:
    ledger = Results.load(searched.path, searched.name).ledger
    page_text = make_report(searched.path, searched.name).page.read_text()
    (line,) = openings.read(ledger, searched.name)
    assert (line.who, len(line.keys), len(line.configurations)) == ("report", 6, 2)
    assert "The test set was opened once, first on" in page_text
    assert "for 2 configurations and 6 trials in all (by report)" in page_text
    assert "It stays sealed for 6 trials that only helped to choose." in page_text
    make_report(searched.path, searched.name)
    assert len(openings.read(ledger, searched.name)) == 1


def test_a_report_of_a_ledger_that_cannot_be_written_says_that_its_opening_is_not_told(plain: Made, tmp_path: Path) -> None:
    Results.load(plain.path, plain.name).ledger.openings_file(plain.name).mkdir()
    report = make_report(plain.path, plain.name, folder=tmp_path / "elsewhere")
    assert any("could not be written down" in remark for remark in report.remarks)


def test_garbage_on_the_test_set_changes_no_choice(searched: Made) -> None:
    before = Results.load(searched.path, searched.name)
    chosen, best = chosen_samples(before), best_variant(before)
    selected = before.trials["selected_epoch"].tolist()
    random = np.random.default_rng(0)
    for key in searched.keys.values():
        file = before.ledger.epochs_file(key)
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        rows = [{name: random.random() if name.startswith("test_") else value for name, value in row.items()} for row in rows]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    after = Results.load(searched.path, searched.name)
    assert after.trials["test_accuracy"].dropna().tolist() != before.trials["test_accuracy"].dropna().tolist()
    assert (chosen_samples(after), best_variant(after), after.trials["selected_epoch"].tolist()) == (chosen, best, selected)
    assert after.sealed == before.sealed


def test_the_ledgers_command_shows_test_figures_only_when_asked_and_tells_the_study(plain: Made) -> None:
    ledger = Results.load(plain.path, plain.name).ledger
    key = plain.keys["dnn", 0, 1]
    closed = details(ledger, key)
    assert not any(name.startswith("test_") for row in closed["epochs"] for name in row)
    assert "test_accuracy" not in "\n".join(page(closed))
    assert openings.read(ledger, plain.name) == []
    assert "test_accuracy" in "\n".join(page(details(ledger, key, test=True)))
    (line,) = openings.read(ledger, plain.name)
    assert (line.who, line.keys, line.configurations) == ("show", (key,), ("dnn",))
