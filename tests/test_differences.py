"""In what two studies differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ledger_fixture import make_ledger
from test_tuned import tuned_ledger

from ferray.analysis.differences import differences
from ferray.analysis.results import Results
from ferray.data_source import DataSource

OPTIONS: dict[str, Any] = {"images": 60, "shape": (1, 8, 8), "epochs": 2}


def study(path: Path, settings: dict[str, Any] | None = None, **given: Any) -> Results:
    made = make_ledger(path, name="study", **{**OPTIONS, **given})
    if settings:
        change(made.path, "studies/study/study.json", "settings", settings)
    return Results.load(path, "study")


def change(path: Path, file: str, field: str, values: dict[str, Any]) -> None:
    document = json.loads((path / file).read_text())
    document[field] = {**document[field], **values}
    (path / file).write_text(json.dumps(document))


def test_studies_that_are_alike_do_not_differ_wherever_they_lie(tmp_path: Path) -> None:
    settings = {"title": "another", "keep_weights": False, "cpus": 2.0, "data": DataSource(path="elsewhere").model_dump()}
    assert differences(study(tmp_path / "a"), study(tmp_path / "b", settings)) == ()


def test_a_setting_of_all_variants_is_told_once(tmp_path: Path) -> None:
    assert differences(study(tmp_path / "a"), study(tmp_path / "b", epochs=3)) == (("base.epochs", "2", "3"),)


def test_every_field_of_the_study_file_that_matters_is_told(tmp_path: Path) -> None:
    settings = {
        "search": {"l1": {"loguniform": [1e-6, 1e-3]}},
        "num_samples": 8,
        "search_seed": 3,
        "budget": {"gpu_hours": 2.0},
        "ablate": {"design": "path"},
        "data": DataSource(subset=500).model_dump(),
    }
    document = {"smallest_effect": 1.0, "tuning": {"seeds": [9], "scheduler": "asha", "chosen": {}}}
    told = differences(study(tmp_path / "a"), study(tmp_path / "b", settings, document=document, seeds=2))
    assert {name: value for name, _, value in told if not name.endswith(("(chosen)", "dirty"))} == {
        "seeds": "0, 1",
        "smallest_effect": "1 point",
        "search.l1.loguniform": "1e-06, 0.001",
        "num_samples": "8",
        "search_seed": "3",
        "budget.gpu_hours": "2",
        "ablate.design": "path",
        "data.subset": "500",
        "tuning.seeds": "9",
        "tuning.scheduler": "asha",
    }


def test_variants_are_compared_beyond_what_they_have_from_the_baseline(tmp_path: Path) -> None:
    first = study(tmp_path / "a", variants={"cnn": ({}, []), "small": ({"width": 0.5}, []), "dnn": ({"model": "dnn"}, [])})
    second = study(tmp_path / "b", variants={"cnn": ({}, []), "small": ({"width": 0.25}, [])}, epochs=3)
    assert differences(first, second) == (
        ("variants", "cnn, dnn and small", "cnn and small"),
        ("base.epochs", "2", "3"),
        ("small: width", "0.5", "0.25"),
    )


def test_what_tuning_chose_for_each_variant_is_told(tmp_path: Path) -> None:
    first, second = tuned_ledger(tmp_path / "a", draws=4), tuned_ledger(tmp_path / "b", draws=4)
    assert differences(first, second) == ()
    change(
        tmp_path / "b", "studies/report/study.json", "tuning", {"chosen": {"all": 0, "no-augmentation": 3, "no-batch_norm": 2, "dnn": 0}}
    )
    document = json.loads((tmp_path / "b" / "studies" / "report" / "study.json").read_text())
    keys = {(one["variant"], one["sample"], one["seed"]): one["key"] for one in document["plan"]}
    for entry in document["plan"]:
        if entry["variant"] == "no-augmentation" and entry["phase"] == "final":
            entry |= {"sample": 3, "key": keys.get(("no-augmentation", 3, entry["seed"]), entry["key"]), "overrides": {"dropout": 0.04}}
    (tmp_path / "b" / "studies" / "report" / "study.json").write_text(json.dumps(document))
    for trial in {entry["key"] for entry in document["plan"] if entry["variant"] == "no-augmentation" and entry["phase"] == "final"}:
        change(tmp_path / "b", f"trials/{trial}/trial.json", "config", {"dropout": 0.04})
    assert differences(first, Results.load(tmp_path / "b", "report")) == (("no-augmentation: dropout (chosen)", "0.02", "0.04"),)


def test_code_and_machines_behind_the_trials_are_told(tmp_path: Path) -> None:
    first, second = study(tmp_path / "a"), study(tmp_path / "b")
    for key in set(second.trials["key"]):
        change(tmp_path / "b", f"trials/{key}/record.json", "environment", {"device": "cuda", "host": "node-b"})
        trial = tmp_path / "b" / "trials" / key / "trial.json"
        trial.write_text(json.dumps({**json.loads(trial.read_text()), "engine": "2", "files": {"model": "ab" * 32}}))
    assert set(differences(first, Results.load(tmp_path / "b", "study"))) == {
        ("engine", "1", "2"),
        ("file: model", "not set", "abababababab"),
        ("ran on: device", "cpu", "cuda"),
    }
