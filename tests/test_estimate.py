"""How long trials will take, from what earlier ones took or from a probe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from studies import tiny

from ferray import training
from ferray.data import Dataset, Split
from ferray.data.dataset import CLASSES
from ferray.errors import ConfigError
from ferray.ledger import Ledger
from ferray.running.estimate import counted, duration, from_ledger, from_probe, makespan
from ferray.running.runner import run


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """Four trials that took, as their rows say, 2 seconds an epoch; those without augmentation 1."""
    storage = tmp_path_factory.mktemp("storage")
    run(tiny(), storage, local=True, say=lambda line: None)
    ledger = Ledger(storage)
    for key in ledger.keys():
        seconds = 2.0 if ledger.trial(key)["config"]["augmentation"]["rotation"] else 1.0
        rows = [{**row, "seconds": seconds} for row in ledger.epochs(key)]
        ledger.epochs_file(key).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ledger


def seconds(ledger: Ledger, **changes: Any) -> tuple[dict[str, float], str]:
    """By variant, and the basis."""
    study = tiny(**changes)
    data = study.load_data()
    plan = study.plan(data)
    pace = from_ledger(ledger, plan, data)
    return {trial.variant: round(pace.seconds[trial.key], 3) for trial in plan if trial.key in pace.seconds}, pace.basis


def test_further_seeds_take_what_the_same_variant_took(ledger: Ledger) -> None:
    known, basis = seconds(ledger, seeds=[7, 8])
    assert known == {"baseline": 2.0, "no-augmentation": 1.0}
    assert basis.startswith("4 earlier trials")


def test_other_settings_of_the_same_cost_take_what_all_of_these_took(ledger: Ledger) -> None:
    known, _ = seconds(ledger, base={**tiny().base, "learning_rate": 0.01, "epochs": 50})
    assert known == {"baseline": 1.5, "no-augmentation": 1.5}


def test_more_images_take_proportionally_longer(ledger: Ledger) -> None:
    known, _ = seconds(ledger, data={"source": "synthetic", "images": 420})
    assert known == {"baseline": 4.5, "no-augmentation": 4.5}


@pytest.mark.parametrize("change", [{"width": 0.1}, {"batch_size": 16}, {"threads": 2}, {"model": "dnn"}, {"precision": "bf16"}])
def test_what_costs_something_else_is_not_known(ledger: Ledger, change: dict[str, Any]) -> None:
    assert seconds(ledger, base={**tiny().base, **change}) == ({}, "")


def test_trials_of_another_processor_are_taken_only_where_there_are_no_others(ledger: Ledger) -> None:
    study = tiny(seeds=[5])
    data = study.load_data()
    pace = from_ledger(ledger, study.plan(data), data, processor="another one")
    assert pace.basis == "4 earlier trials on another machine"


def test_a_record_that_cannot_be_read_is_passed_over(ledger: Ledger, tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    for folder in ("trials", "data"):
        (storage / folder).parent.mkdir(exist_ok=True)
        (storage / folder).symlink_to(ledger.path / folder)
    (storage / "trials").unlink()
    (storage / "trials").mkdir()
    for key in ledger.keys():
        (storage / "trials" / key).symlink_to(ledger.trial_folder(key))
    (storage / "trials" / "rot").mkdir()
    (storage / "trials" / "rot" / "epochs.jsonl").write_text("{")
    known, _ = seconds(Ledger(storage), seeds=[7])
    assert known == {"baseline": 2.0, "no-augmentation": 1.0}


def test_a_probe_trains_each_distinct_network_once_on_few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    study = tiny(variants={"dnn": {"model": "dnn"}})
    data = study.load_data()
    plan = study.plan(data)
    probed = []
    real = training.fit

    def counted(config: Any, data: Any, *rest: Any, **options: Any) -> Iterator[Any]:
        probed.append((config.model, len(data.train)))
        return real(config, data, *rest, **options)

    monkeypatch.setattr(training, "fit", counted)
    pace = from_probe(plan, data)
    assert probed == [("cnn", 96), ("dnn", 96)]
    assert set(pace.seconds) == {trial.key for trial in plan}
    assert all(0 < value < 60 for value in pace.seconds.values())
    assert pace.basis == "a probe of 3 training steps"


def test_a_probe_takes_votes_along_and_leaves_the_threads_of_the_process_alone() -> None:
    generator = np.random.default_rng(0)

    def split(count: int) -> Split:
        images = generator.integers(0, 256, (count, 1, 48, 48), np.uint8)
        return Split(images, np.arange(count, dtype=np.int64) % 7, np.ones((count, 7), np.float32))

    splits = {"train": split(100), "validation": split(40), "test": split(40)}
    data = Dataset.build("made", CLASSES, splits, synthetic=True)
    plan = tiny(ablate=None, seeds=1, base={**tiny().base, "soft_labels": True}).plan(data)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert set(from_probe(plan, data).seconds) == {trial.key for trial in plan}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


def test_a_network_that_cannot_be_probed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*rest: Any, **options: Any) -> Iterator[Any]:
        raise ValueError("no")

    study = tiny()
    data = study.load_data()
    monkeypatch.setattr(training, "fit", fails)
    assert not from_probe(study.plan(data), data)


def test_a_mistake_in_the_study_is_told_by_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*rest: Any, **options: Any) -> Iterator[Any]:
        raise ConfigError("model: not like this")

    study = tiny()
    data = study.load_data()
    monkeypatch.setattr(training, "fit", refuses)
    with pytest.raises(ConfigError, match="variant 'baseline': model: not like this"):
        from_probe(study.plan(data), data)


def test_trials_side_by_side_take_as_long_as_the_longest_row_of_them() -> None:
    assert makespan([3, 3, 3], 1) == 9
    assert makespan([3, 3, 3], 2) == 6
    assert makespan([5, 1, 1, 1], 2) == 5
    assert makespan([1, 2], 8) == 2
    assert makespan([], 4) == 0


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "1 s"), (12.4, "12 s"), (59.6, "1 min"), (170, "3 min"), (3600, "1 h"), (7800, "2 h 10 min"), (273600, "3 days 4 h")],
)
def test_durations_read_as_people_say_them(seconds: float, told: str) -> None:
    assert duration(seconds) == told


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0 trials"), (1, "1 trial"), (1234, "1,234 trials"), (1.0, "1 trial"), (0.5, "0.5 trials")]
)
def test_one_is_told_from_many(number: float, told: str) -> None:
    assert counted(number, "trial") == told
