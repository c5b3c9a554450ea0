"""The ledger's trials as rows: every state in the list, filters, short keys, and what changed in a config."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ledger_fixture import make_ledger

from ferray.config import Config
from ferray.errors import ConfigError, LedgerError
from ferray.ledger import Ledger, catalog
from ferray.ledger.catalog import Filters, Place

VARIANTS = {"cnn": ({}, []), "slow": ({"learning_rate": 1e-4}, [])}  # type: ignore[var-annotated]
FATES = {("cnn", 0): "failed", ("cnn", 1): "diverged", ("slow", 0): "running", ("slow", 2): "missing"}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    make_ledger(tmp_path, name="one", variants=VARIANTS, outcome=FATES, epochs=4)
    make_ledger(tmp_path / "other", name="two", variants={"same": ({}, [])}, seeds=1, epochs=4)
    (tmp_path / "other" / "studies" / "two").rename(tmp_path / "studies" / "two")  # its only trial is one of the first study
    return Ledger(tmp_path)


def test_every_trial_is_a_row_whatever_became_of_it(ledger: Ledger) -> None:
    rows = {entry.label: entry for entry in catalog.entries(ledger)}
    assert {label: row.status for label, row in rows.items()} == {
        "one/cnn, two/same seed 0": "failed",
        "one/cnn seed 1": "diverged",
        "one/cnn seed 2": "finished",
        "one/slow seed 0": "interrupted",
        "one/slow seed 1": "finished",
    }
    finished = rows["one/slow seed 1"]
    assert finished.selected_epoch is not None
    assert finished.accuracy == ledger.epochs(finished.key)[finished.selected_epoch - 1]["validation_accuracy"]
    assert (finished.epochs, finished.config["learning_rate"]) == (4, 1e-4)
    assert rows["one/cnn, two/same seed 0"].places == (Place("one", "cnn", 0), Place("two", "same", 0))
    assert rows["one/cnn, two/same seed 0"].accuracy is None


@pytest.mark.parametrize("name", ["trial.json", "record.json", "epochs.jsonl"])
def test_a_trial_with_a_damaged_file_is_a_row_that_says_so(ledger: Ledger, name: str) -> None:
    key = next(entry.key for entry in catalog.entries(ledger) if entry.status == "finished")
    (ledger.trial_folder(key) / name).write_text("[]")
    assert {entry.key: entry.status for entry in catalog.entries(ledger)}[key] == "damaged"


@pytest.mark.parametrize(
    "change",
    [{"epochs": None}, {"seconds": "6.1"}, {"ended": 5}, {"ended": "yesterday"}, {"digests": []}, {"error": "no"}, {"selected_epoch": "1"}],
)
def test_a_record_whose_fields_are_of_other_types_is_damaged(ledger: Ledger, change: dict[str, Any]) -> None:
    key = next(entry.key for entry in catalog.entries(ledger) if entry.status == "finished")
    record = json.loads(ledger.record_file(key).read_text())
    ledger.record_file(key).write_text(json.dumps({**record, **change}))
    assert {entry.key: entry.status for entry in catalog.entries(ledger)}[key] == "damaged"


def test_a_time_without_a_zone_is_one_of_this_machine(ledger: Ledger) -> None:
    key = next(entry.key for entry in catalog.entries(ledger) if entry.status == "finished")
    record = json.loads(ledger.record_file(key).read_text())
    ledger.record_file(key).write_text(json.dumps({**record, "ended": "2999-01-01T00:00:00"}))
    assert catalog.entries(ledger)[-1].key == key


@pytest.mark.parametrize("change", [{"plan": [{}]}, {"plan": "all"}, {"plan": [5]}, {"data": "fer2013"}, {"created": 5}])
def test_a_study_whose_document_is_of_another_shape_is_passed_over(ledger: Ledger, change: dict[str, Any]) -> None:
    document = json.loads(ledger.study_file("one").read_text())
    ledger.study_file("one").write_text(json.dumps({**document, **change}))
    assert {place.study for entry in catalog.entries(ledger) for place in entry.places} == {"two"}


@pytest.mark.parametrize(
    ("filters", "labels"),
    [
        (Filters(study="two"), ["one/cnn, two/same seed 0"]),
        (Filters(statuses=["failed", "diverged"]), ["one/cnn seed 1", "one/cnn, two/same seed 0"]),
        (Filters(variants=["slow"], seeds=[1]), ["one/slow seed 1"]),
        (Filters(study="two", variants=["same"], statuses=["finished"]), []),
        (Filters(config={"learning_rate": 1e-4, "augmentation.horizontal_flip": 0.5}), ["one/slow seed 0", "one/slow seed 1"]),
        (Filters(since=datetime(2999, 1, 1, tzinfo=UTC)), []),
        (Filters(unused=True), []),
    ],
)
def test_filters_choose_trials(ledger: Ledger, filters: Filters, labels: list[str]) -> None:
    assert sorted(entry.label for entry in catalog.select(ledger, filters)) == labels


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        (Filters(study="ona"), "no study 'ona'.*did you mean 'one'"),
        (Filters(variants=["slwo"]), "no variant is called 'slwo'; did you mean 'slow'"),
        (Filters(statuses=["fialed"]), "did you mean 'failed'"),
        (Filters(config={"learning_rat": 1}), "did you mean 'learning_rate'"),
    ],
)
def test_a_filter_that_names_what_nothing_has_is_refused_with_the_nearest(ledger: Ledger, filters: Filters, message: str) -> None:
    with pytest.raises((ConfigError, LedgerError), match=message):
        catalog.select(ledger, filters)


def test_a_key_is_named_by_its_first_digits(ledger: Ledger) -> None:
    for key in ledger.keys():
        assert catalog.resolve(ledger, key[:8]) == key
        assert catalog.resolve(ledger, key.upper()) == key
    with pytest.raises(LedgerError, match="no trial's key begins with 'xyz'"):
        catalog.resolve(ledger, "xyz")
    with pytest.raises(LedgerError, match="no trial's key begins with ''"):
        catalog.resolve(ledger, "")


def test_an_ambiguous_key_is_refused_with_what_it_may_mean(tmp_path: Path) -> None:
    for key in ("ab11" + "0" * 28, "ab22" + "0" * 28):
        (tmp_path / "trials" / key).mkdir(parents=True)
    with pytest.raises(LedgerError, match="2 keys begin with 'ab': ab1100, ab2200; give more digits"):
        catalog.resolve(Ledger(tmp_path), "ab")


def test_keys_are_shown_with_as_many_digits_as_tell_them_apart() -> None:
    assert catalog.digits(["0" * 32, "1" * 32]) == 8
    assert catalog.digits(["0" * 32, "0" * 11 + "1" * 21]) == 12
    assert catalog.digits([]) == 8


def test_since_is_a_date_a_time_or_so_long_ago() -> None:
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert catalog.moment("90m", now) == now - timedelta(minutes=90)
    assert catalog.moment("3d", now) == now - timedelta(days=3)
    assert catalog.moment("2026-11-24T10:00+01:00") == datetime(2026, 11, 24, 9, tzinfo=UTC)
    assert catalog.moment("2026-11-24").tzinfo is not None
    with pytest.raises(ConfigError, match="write a date"):
        catalog.moment("yesterday")


def test_config_values_are_read_as_in_a_study_file() -> None:
    assert catalog.settings(["learning_rate=1e-3", "augmentation.rotation=20", "model=cnn"]) == {
        "learning_rate": 1e-3,
        "augmentation.rotation": 20,
        "model": "cnn",
    }
    with pytest.raises(ConfigError, match="write NAME=VALUE"):
        catalog.settings(["learning_rate"])


def test_what_differs_is_held_against_the_defaults_of_the_same_network() -> None:
    assert catalog.changed(Config(model="dnn", epochs=3).model_dump()) == {"model": "dnn", "epochs": 3}
    assert catalog.changed({"model": "no such network", "epochs": 50, "seed": 1})["seed"] == 1


def test_a_thousand_trials_are_listed_within_a_second_or_two(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, variants={"cnn": ({}, [])}, seeds=1, epochs=50)
    key = made.keys["cnn", 0, 0]
    files = {file.name: file.read_text() for file in (tmp_path / "trials" / key).iterdir() if file.suffix in (".json", ".jsonl")}
    for number in range(1000):
        folder = tmp_path / "trials" / f"{number:032x}"
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text.replace(key, folder.name))
    begun = datetime.now(UTC)
    assert len(catalog.entries(Ledger(tmp_path))) == 1001
    assert datetime.now(UTC) - begun < timedelta(seconds=4)
