"""Removing trials and studies: what goes, what stays, and a ledger that is valid at every moment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ledger_fixture import make_ledger

from ferray.errors import LedgerError
from ferray.ledger import Ledger, catalog, removal
from ferray.ledger.catalog import Filters
from ferray.ledger.lock import acquire
from ferray.ledger.writer import LedgerWriter

VARIANTS = {"cnn": ({}, []), "slow": ({"learning_rate": 1e-4}, [])}  # type: ignore[var-annotated]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Study "one" has four trials, one of them failed; study "two" has one of them too."""
    make_ledger(tmp_path, name="one", variants=VARIANTS, outcome={("slow", 1): "failed"}, seeds=2, epochs=3)
    make_ledger(tmp_path / "other", name="two", variants={"same": ({}, [])}, seeds=1, epochs=3)
    (tmp_path / "other" / "studies" / "two").rename(tmp_path / "studies" / "two")
    for name in ("reports/one", "reports/two", "tune/one-20261124-100000-7", "tune/one-2", "damaged"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").write_text("x" * 100)
    (tmp_path / "tune" / "one.log").touch()
    return Ledger(tmp_path)


def labels(ledger: Ledger) -> list[str]:
    return sorted(entry.label for entry in catalog.entries(ledger))


def test_a_study_goes_with_all_that_no_other_study_has(ledger: Ledger) -> None:
    old = ledger.damaged_folder / f"{ledger.keys()[0]}-12345"
    old.mkdir()
    prepared = removal.prepare(ledger, Filters(study="one"))
    assert (len(prepared.trials), len(prepared.shared), prepared.study) == (3, 1, "one")
    before = removal.size(ledger.path)
    assert removal.remove(ledger, prepared) == []
    assert before - removal.size(ledger.path) == prepared.size > 0
    assert ledger.studies() == ["two"]
    assert labels(ledger) == ["two/same seed 0"]
    assert sorted(item.name for item in (ledger.path / "tune").iterdir()) == ["one-2"], "another study's folder"
    assert not ledger.report_folder("one").exists()
    assert ledger.report_folder("two").exists()
    assert old.exists() == (old.name.partition("-")[0] in ledger.keys())
    assert not ledger.removed_folder.exists()


def test_filters_take_only_such_trials_and_leave_the_study(ledger: Ledger) -> None:
    prepared = removal.prepare(ledger, Filters(study="one", statuses=["failed"]))
    removal.remove(ledger, prepared)
    assert ledger.studies() == ["one", "two"]
    assert labels(ledger) == ["one/cnn seed 1", "one/cnn, two/same seed 0", "one/slow seed 0"]


def test_keys_name_trials_whoever_plans_them(ledger: Ledger) -> None:
    key = next(entry.key for entry in catalog.entries(ledger) if len(entry.places) == 2)
    removal.remove(ledger, removal.prepare(ledger, Filters(), [key[:8]]))
    assert labels(ledger) == ["one/cnn seed 1", "one/slow seed 0", "one/slow seed 1"]


def test_nothing_named_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="say what to remove"):
        removal.prepare(ledger, Filters())


def test_preparing_removes_nothing(ledger: Ledger) -> None:
    before = sorted(ledger.path.rglob("*"))
    removal.prepare(ledger, Filters(study="one"))
    assert sorted(ledger.path.rglob("*")) == before


def test_a_running_trial_is_refused_before_anything_goes(ledger: Ledger) -> None:
    key = next(entry.key for entry in catalog.entries(ledger) if entry.status == "failed")
    LedgerWriter(ledger.path, retry_failed=True).begin(key, {"config": {}})  # garbage collected: lets go at once
    writer = LedgerWriter(ledger.path)
    assert writer.begin(key, ledger.trial(key)).outcome == "run"
    with pytest.raises(LedgerError, match="a trial is running"):
        removal.prepare(ledger, Filters(study="one"))
    assert len(ledger.keys()) == 4


def test_a_trial_that_begins_to_run_meanwhile_stays_with_its_study(ledger: Ledger) -> None:
    prepared = removal.prepare(ledger, Filters(study="one"))
    failed = next(entry.key for entry in prepared.trials if entry.status == "failed")
    writer = LedgerWriter(ledger.path, retry_failed=True)
    begun = writer.begin(failed, ledger.trial(failed))
    assert begun.outcome == "run"
    assert [entry.key for entry in removal.remove(ledger, prepared)] == [failed]
    assert ledger.status(failed) == "running"
    assert ledger.studies() == ["one", "two"]
    writer.finish(failed, begun.attempt, {"status": "finished", "selected_epoch": None, "parameters": 1, "environment": {}, "error": None})


def test_a_removal_that_is_interrupted_leaves_a_valid_ledger_and_goes_on(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.replace
    moves = 0

    def killed_at_the_third(source: Path, target: Path) -> None:
        nonlocal moves
        moves += 1
        if moves == 3:
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            removal.remove(ledger, removal.prepare(ledger, Filters(study="one")))
    left = catalog.entries(ledger)
    assert len(left) == 2
    assert all(ledger.status(entry.key, verify=True) != "damaged" for entry in left)
    assert ledger.studies() == ["one", "two"]
    removal.remove(ledger, removal.prepare(ledger, Filters(study="one")))
    assert labels(ledger) == ["two/same seed 0"]
    assert not ledger.removed_folder.exists()


def test_storage_that_cannot_be_changed_is_told(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(13, "Permission denied", str(source))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(LedgerError, match=r"cannot remove .*: Permission denied"):
        removal.remove(ledger, removal.prepare(ledger, Filters(study="one")))


def test_what_is_put_aside_is_whole(ledger: Ledger) -> None:
    key = ledger.keys()[0]
    files = sorted(file.name for file in ledger.trial_folder(key).iterdir())
    place = removal.put_aside(ledger, key)
    assert place is not None
    assert sorted(file.name for file in place.iterdir() if file.name != "lock") == files
    assert ledger.status(key) == "missing"


def test_what_was_put_aside_comes_back_unless_the_trial_has_begun_anew(ledger: Ledger) -> None:
    first, second, *_ = (entry.key for entry in catalog.entries(ledger) if entry.status == "finished")
    for key in (first, second):
        place = removal.put_aside(ledger, key)
        assert place is not None
        writer = LedgerWriter(ledger.path)
        begun = writer.begin(key, {"config": {}})
        assert not removal.put_back(ledger, key, place), "a driver has it"
        if key == second:
            writer.append(key, begun.attempt, {"epoch": 1})
        writer.close()
        assert removal.put_back(ledger, key, place) == (key == first) != place.exists()
    assert ledger.status(first, verify=True) == "finished"
    assert ledger.status(second, verify=True) == "interrupted"


def test_a_trial_that_is_removed_just_before_it_is_locked_is_locked_all_the_same(ledger: Ledger, tmp_path: Path) -> None:
    class Racing(Ledger):
        """Its trial is moved away between the making of its folder and the opening of the lock."""

        moved = False

        def lock_file(self, key: str) -> Path:
            if not self.moved:
                self.moved = True
                self.trial_folder(key).rename(tmp_path / "moved")
            return super().lock_file(key)

    lock = acquire(Racing(ledger.path), ledger.keys()[0])
    assert lock is not None
    assert ledger.status(ledger.keys()[0]) == "running"
    lock.close()


@pytest.mark.parametrize("filters", [Filters(unused=True), Filters(study="one")])
def test_what_a_study_that_cannot_be_read_may_plan_is_not_taken_for_unused(ledger: Ledger, filters: Filters) -> None:
    ledger.study_file("two").write_text("{")
    with pytest.raises(LedgerError, match=r"two/study\.json cannot be read"):
        removal.prepare(ledger, filters)


@pytest.mark.parametrize("name", ["../studies/one", "../../outside", "one/", ".."])
def test_a_path_is_no_study(ledger: Ledger, name: str) -> None:
    outside = ledger.path.parent / "outside"
    for folder in (outside, ledger.path):
        folder.mkdir(exist_ok=True)
        (folder / "study.json").write_text("{}")
    with pytest.raises(LedgerError, match="no study"):
        removal.prepare(ledger, Filters(study=name))
