"""Running chosen trials again by what the ledger keeps of their studies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from studies import numbers, tiny, unlucky

from ferray import training
from ferray.errors import LedgerError, ResourceError
from ferray.ledger import Ledger, catalog
from ferray.ledger.catalog import Filters
from ferray.ledger.rerun import rerun, restore
from ferray.ledger.writer import LedgerWriter
from ferray.running.runner import run
from ferray.study import Study

NETWORK = """
from torch import nn
from sizes import UNITS

def make(image_shape=(1, 48, 48), classes=7, units=UNITS):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(units), nn.ReLU(), nn.LazyLinear(classes))
"""


def silent(_: str) -> None:
    """Says nothing."""


def test_failed_trials_run_again_and_no_others(tmp_path: Path) -> None:
    with unlucky(seed=1):
        run(tiny(), tmp_path, local=True, say=silent)
    ledger = Ledger(tmp_path)
    document = ledger.study_file("tiny").read_bytes()
    failed = catalog.select(ledger, Filters(statuses=["failed"]))
    removed = next(key for key in ledger.keys() if ledger.status(key) == "finished")
    ledger.trial_folder(removed).rename(tmp_path / "elsewhere")
    (outcome,) = rerun(ledger, failed, local=True, say=silent)
    assert (outcome.study, outcome.statuses, outcome.trained) == ("tiny", {"finished": 2}, 2)
    assert ledger.status(removed) == "missing", "a trial that was not asked for"
    assert ledger.study_file("tiny").read_bytes() == document
    for entry in failed:
        assert json.loads((ledger.trial_folder(entry.key) / "failure-1.json").read_text())["error"]["message"] == "seed 1 is unlucky"


def test_a_finished_trial_runs_anew_with_the_same_numbers_and_its_old_record_is_kept(tmp_path: Path) -> None:
    run(tiny(), tmp_path, local=True, say=silent)
    ledger = Ledger(tmp_path)
    before = numbers(ledger)
    chosen = catalog.entries(ledger)[:1]
    said: list[str] = []
    (outcome,) = rerun(ledger, chosen, local=True, say=said.append)
    assert outcome.trained == 1
    assert numbers(ledger) == before
    (kept,) = ledger.earlier_folder.iterdir()
    assert (kept / "record.json").exists()
    assert str(kept) in said[0]


def test_a_study_is_rebuilt_as_it_was_with_search_design_and_files_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "sizes.py").write_text("UNITS = 3")
    (tmp_path / "study" / "sizes.py").write_text("UNITS = 4")
    (tmp_path / "study" / "network.py").write_text(NETWORK)
    file = tmp_path / "study" / "own.yaml"
    file.write_text(
        "data: {source: synthetic, images: 140}\n"
        "base: {model: ./network.py:make, epochs: 1, augmentation: {rotation: 10}}\n"
        "ablate: {remove: [augmentation]}\n"
        "search: {learning_rate: {loguniform: [1e-4, 1e-2]}, model_arguments.units: {grid_search: [2, 3]}}\n"
        "published: {baseline: {validation: 0.5}}\n"
        "num_samples: 2\nseeds: [3, 5]\n"
    )
    study = Study.load(file)
    from ferray.running.study_record import save

    data = study.load_data()
    save(LedgerWriter(tmp_path / "ledger"), study, study.plan(data), data, file.read_text())
    ledger = Ledger(tmp_path / "ledger")
    monkeypatch.chdir(tmp_path.parent)
    rebuilt = restore(ledger, "own")
    assert rebuilt == study
    assert [trial.key for trial in rebuilt.plan(data)] == [trial.key for trial in study.plan(data)]
    digest = study.plan(data)[0].attachments.code["model"].digest
    described, files = ledger.code(digest)
    assert described == {"reference": "./network.py:make", "module": "network", "name": "make", "digest": digest}
    assert files == {"network.py": NETWORK.encode(), "sizes.py": b"UNITS = 4"}


def test_trials_that_the_study_would_not_run_today_are_refused_and_nothing_is_done(tmp_path: Path) -> None:
    run(tiny(ablate=None, seeds=1), tmp_path, local=True, say=silent)
    ledger = Ledger(tmp_path)
    chosen = catalog.entries(ledger)
    before = sorted(tmp_path.rglob("*"))
    document = json.loads(ledger.study_file("tiny").read_text())
    document["settings"]["data"]["images"] = 210
    ledger.study_file("tiny").write_text(json.dumps(document))
    with pytest.raises(LedgerError, match=r"1 of 1 trials are not what it would run today.*its data were"):
        rerun(ledger, chosen, local=True, say=silent)
    document["settings"]["data"]["images"] = 140
    document["settings"]["base"]["epochs"] = 3
    ledger.study_file("tiny").write_text(json.dumps(document))
    with pytest.raises(LedgerError, match="the study's settings have changed"):
        rerun(ledger, chosen, local=True, say=silent)
    assert sorted(tmp_path.rglob("*")) == before


def test_another_engine_is_named_as_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tiny(ablate=None, seeds=1), tmp_path, local=True, say=silent)
    ledger = Ledger(tmp_path)
    chosen = catalog.entries(ledger)
    monkeypatch.setattr("ferray.config.ENGINE_VERSION", "next")
    monkeypatch.setattr("ferray.ledger.rerun.ENGINE_VERSION", "next")
    with pytest.raises(LedgerError, match="and this is engine next"):
        rerun(ledger, chosen, local=True, say=silent)


def test_running_trials_and_those_of_no_study_are_refused(tmp_path: Path) -> None:
    run(tiny(ablate=None, seeds=1), tmp_path, local=True, say=silent)
    ledger = Ledger(tmp_path)
    writer = LedgerWriter(tmp_path)
    writer.begin("0" * 32, {"config": {"seed": 0}})
    running = catalog.entries(ledger, ["0" * 32])
    with pytest.raises(LedgerError, match="is running"):
        rerun(ledger, running, local=True, say=silent)
    ledger.study_file("tiny").unlink()
    with pytest.raises(LedgerError, match="no study plans the trial"):
        rerun(ledger, [entry for entry in catalog.entries(ledger) if entry.status == "finished"], local=True, say=silent)


def test_a_run_that_cannot_begin_leaves_every_record_where_it_was(tmp_path: Path) -> None:
    run(tiny(ablate=None), tmp_path, local=True, say=silent)
    ledger = Ledger(tmp_path)
    before = numbers(ledger)
    said: list[str] = []
    with pytest.raises(ResourceError, match="no Ray cluster answers"):
        rerun(ledger, catalog.entries(ledger), address="127.0.0.1:1", say=said.append)
    assert numbers(ledger) == before
    assert [ledger.status(key, verify=True) for key in ledger.keys()] == ["finished"] * 2
    assert not list(ledger.earlier_folder.iterdir())
    assert said[-1].startswith("2 of the records that were put aside are back")


def test_an_interruption_keeps_what_has_begun_anew_puts_back_the_rest_and_begins_no_other_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tiny(ablate=None, seeds=3), tmp_path, local=True, say=silent)
    run(tiny(name="zweite", ablate=None, seeds=[7]), tmp_path, local=True, say=silent)
    ledger = Ledger(tmp_path)
    chosen = catalog.entries(ledger)
    real = training.fit
    asked = []

    def interrupted_in_the_second(config: Any, *arguments: Any, **options: Any) -> Iterator[Any]:
        asked.append(config.seed)
        for epoch in real(config, *arguments, **options):
            yield epoch
            if len(asked) == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(training, "fit", interrupted_in_the_second)
    outcomes = rerun(ledger, chosen, local=True, say=silent)
    assert [outcome.interrupted for outcome in outcomes] == [True]
    assert len(asked) == 2
    seeds = {ledger.trial(key)["config"]["seed"]: ledger.status(key, verify=True) for key in ledger.keys()}
    assert seeds == {0: "finished", 1: "interrupted", 2: "finished", 7: "finished"}
    assert len(list(ledger.earlier_folder.iterdir())) == 2
