"""The work of a run: what is to do at first, and what there is to do once tuning has ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from studies import tiny

from ferray.ledger import Ledger
from ferray.running.runner import run
from ferray.running.work import Work
from ferray.study import Study


class Told:
    """Stands in for a progress and its display: keeps what it hears."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.handed: set[str] = set()
        self.display = self

    def say(self, line: str) -> None:
        self.lines.append(line)

    def extend(self, trials: dict[str, Any], *_: Any) -> None:
        self.handed |= set(trials)


def tuned() -> Study:
    return tiny(search={"l2": {"grid_search": [1e-5, 1e-4]}}, tuning={}, seeds=1, ablate={"remove": ["augmentation"]})


def work_of(study: Study, storage: Path, only: list[str] | None = None) -> Work:
    return Work.of(study, study.load_data(), Ledger(storage), retry_failed=False, only=only, say=lambda line: None)


def test_work_goes_on_to_what_follows_from_tuning_once_that_has_ended(tmp_path: Path) -> None:
    study = tuned()
    work = work_of(study, tmp_path)
    tuning = {trial.key for trial in work.plan}
    assert {trial.key for trial in work.todo} == set(work.trials) == tuning
    assert (len(work.later), work.choices(), work.is_tuned()) == (3, [], False)
    run(study, tmp_path, local=True, only=tuning, say=lambda line: None)
    assert work.is_tuned()
    told = Told()
    confirming, further = work.confirm(told)  # type: ignore[arg-type]
    assert told.handed == set(confirming) == {trial.key for trial in further}
    assert not tuning & set(confirming)
    assert told.lines[0].startswith("tuning chose, by validation accuracy: baseline sample ")
    assert told.lines[1] == f"{len(further)} trials of confirmation planned, 0 in the ledger, {len(further)} to run"
    assert set(work.trials) == tuning | set(confirming)
    assert (work.left(), work.later, work.is_tuned()) == (further, [], False)
    again = work_of(study, tmp_path)
    assert [trial.key for trial in again.todo] == [trial.key for trial in further]
    assert set(again.trials) == set(work.trials)


def test_an_interruption_between_the_phases_leaves_what_may_follow(tmp_path: Path) -> None:
    class Interrupted(Told):
        def say(self, line: str) -> None:
            raise KeyboardInterrupt

    study = tuned()
    work = work_of(study, tmp_path)
    run(study, tmp_path, local=True, only={trial.key for trial in work.plan}, say=lambda line: None)
    with pytest.raises(KeyboardInterrupt):
        work.confirm(Interrupted())  # type: ignore[arg-type]
    assert (len(work.later), work.choices(), work.is_tuned()) == (3, [], True)


def test_of_trials_that_are_named_nothing_follows(tmp_path: Path) -> None:
    study = tuned()
    named = [trial.key for trial in study.plan()][:1]
    work = work_of(study, tmp_path, only=named)
    assert ([trial.key for trial in work.todo], work.later) == (named, [])
