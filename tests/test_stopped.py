"""Censoring: a trial that was stopped early changes no figure, mean or choice, however good it looked; it is counted and told."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ledger_fixture import PATH, Made, make_ledger

from ferray.analysis.ablation import ablation_info
from ferray.analysis.accuracy import models_info
from ferray.analysis.confusion import confusion_info, pairs_info
from ferray.analysis.constant import constant_trials
from ferray.analysis.curves import curves_info
from ferray.analysis.details import lost_trials
from ferray.analysis.examples import examples_info
from ferray.analysis.results import METRICS, Results
from ferray.analysis.samples import search_info
from ferray.analysis.sections import compose
from ferray.analysis.selection import best_variant, chosen_samples, speaking_trials
from ferray.analysis.stopped import stopped_info, stopped_sentences
from ferray.analysis.twins import twins
from ferray.analysis.votes import votes_info

VARIANTS = {name: PATH[name] for name in ("cnn", "no augmentation")}
SAMPLES = [{"learning_rate": rate} for rate in (1e-4, 3e-4, 1e-3, 3e-3)]
STOPPED = [("cnn", 1), ("cnn", 3), ("no augmentation", 3)]
"""By variant and sample, of those that tune on the last seed."""
TUNING_SEED = 3
STOPPED_EPOCHS = 2

PLACES: dict[str, Callable[[Results], Any]] = {
    "the trials that speak for a variant": lambda results: speaking_trials(results)[["key", "status", "sample", *METRICS]],
    "the chosen samples": chosen_samples,
    "the best variant": best_variant,
    "means and intervals": lambda results: [dataclasses.replace(one, statuses={}) for one in models_info(results).models],
    "effects": lambda results: [  # a caveat says what became of a lost seed
        dataclasses.replace(claim, caveats=()) for panel in ablation_info(results).panels for claim in panel.claims
    ],
    "curves": curves_info,
    "the search": search_info,
    "confusions": confusion_info,
    "confused pairs": lambda results: pairs_info(confusion_info(results)),  # type: ignore[arg-type]
    "examples": lambda results: examples_info(results, pairs_info(confusion_info(results))),  # type: ignore[arg-type]
    "votes": votes_info,
    "trials of one answer": constant_trials,
    "trials that are alike": twins,
    "lost trials": lost_trials,
    "predictions": lambda results: results.predictions,
    "tables": lambda results: [table for table in compose(results)[0].tables if table.name not in ("trials", "searches")],
}
"""All that the analysis makes of trials, but the counts of their states, and the best of n draws, which has stopped ones as bounds."""


def plain(value: Any) -> Any:
    """Something that compares by value, frames and numbers that are none included."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, pd.DataFrame):
        return value.to_csv(index=False)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else repr(value)


def stop(made: Made, key: str) -> None:
    """Makes a trial one that was stopped early although it was better than all others."""
    folder = made.path / "trials" / key
    rows = [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()][:STOPPED_EPOCHS]
    for row in rows:
        row |= {name: 0.99 for name in row if name.endswith(("_accuracy", "_macro_f1"))}
        row |= {name: 0.01 for name in row if name.endswith("_loss")}
    (folder / "epochs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "predictions.npz").unlink(missing_ok=True)
    record = json.loads((folder / "record.json").read_text())
    stopped = {"scheduler": "asha", "grace_epochs": 1, "epoch": STOPPED_EPOCHS, "reason": "not among the best"}
    record |= {"status": "stopped", "selected_epoch": None, "parameters": None, "epochs": STOPPED_EPOCHS, "stopped": stopped}
    (folder / "record.json").write_text(json.dumps(record))


def tuned(made: Made) -> None:
    """Makes the study a tuned one: all samples on the last seed, the chosen one of each variant on the others."""
    file = made.path / "studies" / made.name / "study.json"
    study = json.loads(file.read_text())
    for entry in study["plan"]:
        entry["phase"] = "tuning" if entry["seed"] == TUNING_SEED else "final"
    study["plan"] = [one for one in study["plan"] if one["phase"] == "tuning" or one["sample"] == 0]
    study["tuning"] = {"seeds": [TUNING_SEED], "scheduler": "asha", "chosen": dict.fromkeys(VARIANTS, 0)}
    file.write_text(json.dumps(study))


def pair(path: Path, *, is_tuned: bool) -> tuple[Results, Results]:
    """A study with trials that were stopped early, and the same where these were never begun."""
    found = []
    for name in ("stopped", "missing"):
        (path / name).mkdir()
        made = make_ledger(path / name, variants=VARIANTS, samples=SAMPLES, seeds=4, votes=True)
        if is_tuned:
            tuned(made)
        for variant, sample in STOPPED if is_tuned else [*STOPPED, ("cnn", 0), ("cnn", 2)]:  # also the sample that speaks for the cnn
            key = made.keys[variant, sample, TUNING_SEED]
            if name == "stopped":
                stop(made, key)
            else:
                shutil.rmtree(made.path / "trials" / key)
        found.append(Results.load(made.path, made.name))
    return found[0], found[1]


@pytest.fixture(scope="module")
def with_tuning(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Results]:
    return pair(tmp_path_factory.mktemp("tuned"), is_tuned=True)


@pytest.fixture(scope="module")
def without_tuning(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Results]:
    """Where another study's tuning has stopped trials that this one wants in full length."""
    return pair(tmp_path_factory.mktemp("plain"), is_tuned=False)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ["with_tuning", "without_tuning"])
def test_a_stopped_trial_changes_nothing(place: str, kind: str, request: pytest.FixtureRequest) -> None:
    stopped, missing = request.getfixturevalue(kind)
    assert set(stopped.trials["status"]) == {"finished", "stopped"}, "there is something to censor"
    there, without = (plain(PLACES[place](results)) for results in (stopped, missing))
    if place == "the trials that speak for a variant":
        there, without = there.replace("stopped", ""), without.replace("missing", "")
    assert there == without
    assert there not in ("None", "", "[]", {}) or place in ("trials of one answer", "trials that are alike", "lost trials")


def test_a_stopped_trial_has_its_epochs_and_no_result(with_tuning: tuple[Results, Results]) -> None:
    results = with_tuning[0]
    rows = results.trials[results.trials["status"] == "stopped"]
    assert len(rows) == len(STOPPED)
    assert rows[list(METRICS)].isna().all().all()
    assert rows["selected_epoch"].isna().all()
    assert (rows["epochs"] == STOPPED_EPOCHS).all()
    assert not set(results.predictions["key"]) & set(rows["key"])
    assert (results.epochs["status"] == "stopped").sum() == STOPPED_EPOCHS * len(STOPPED)


def test_no_dot_of_the_search_is_one_that_was_stopped(with_tuning: tuple[Results, Results]) -> None:
    results = with_tuning[0]
    search = search_info(results)
    assert search is not None
    assert len(search.points) == 2 * len(SAMPLES) - len(STOPPED)
    assert not set(search.points["key"]) & set(results.trials.loc[results.trials["status"] == "stopped", "key"])
    assert not any(one.chosen for one in search.samples if (one.variant, one.sample) in STOPPED)


def test_the_report_counts_them(with_tuning: tuple[Results, Results]) -> None:
    info = stopped_info(with_tuning[0])
    assert (info.stopped, info.tuning, info.waiting) == (3, 8, 0)
    assert info.variants == {"cnn": (2, 4), "no augmentation": (1, 4)}
    (sentence,) = stopped_sentences(info)
    assert sentence.startswith(
        "3 of 8 tuning trials were stopped early by ASHA, each by trials of its own variant (2 of 4 of cnn and 1 of 4 of no augmentation)."
    )
    assert sentence.endswith(
        "Only the expected best of n draws counts them, as bounds: at least with the best accuracy that they had reached, at most with the "
        "best of their variant in full."
    )
    page, _, context = compose(with_tuning[0])
    told = [block.text for section in page.sections for block in section.blocks if sentence in block.text]
    assert len(told) == 1
    assert sentence in context["protocol"]
    assert context["counts"]["stopped"] == 3


def test_trials_that_are_yet_to_go_on_are_told_apart(without_tuning: tuple[Results, Results]) -> None:
    info = stopped_info(without_tuning[0])
    assert (info.stopped, info.waiting) == (0, 5)
    assert stopped_sentences(info) == [
        "5 trials that this study wants in full length were stopped early by the tuning of another study; until the study is run again, "
        "they are missing here."
    ]


def test_nothing_is_said_where_nothing_was_stopped(with_tuning: tuple[Results, Results]) -> None:
    assert stopped_sentences(stopped_info(with_tuning[1])) == []
