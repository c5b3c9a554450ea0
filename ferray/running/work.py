"""The work of a run, phase by phase: the trials of a study's plan, and once these have ended, those that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ferray.ledger import Ledger
from ferray.running.confirmation import Confirmation, choices, confirmation
from ferray.running.estimate import counted
from ferray.running.standing import failed_before, left_of, missing, set_damaged_aside, standing, wanted

if TYPE_CHECKING:
    from ferray.data import Dataset
    from ferray.running.progress import Progress
    from ferray.study import Study
    from ferray.trial import Trial


@dataclass
class Work:
    """What there is to do for a study, of which more comes to be known once its tuning has ended.

    ``plan`` are the trials of ``Study.plan``, and ``after`` is what follows from them. ``trials`` are those that are wanted, by key, as
    far as they are known; ``todo`` are those of them that are or were to run, and ``failed`` the records of those that had failed before.
    """

    study: Study
    data: Dataset
    ledger: Ledger
    retry_failed: bool
    only: Collection[str] | None
    plan: list[Trial]
    after: Confirmation
    trials: dict[str, Trial]
    todo: list[Trial]
    failed: dict[str, dict[str, Any] | None]

    @classmethod
    def of(
        cls,
        study: Study,
        data: Dataset,
        ledger: Ledger,
        *,
        retry_failed: bool,
        only: Collection[str] | None,
        say: Callable[[str], None],
    ) -> Work:
        """As the ledger has it; damaged records are set aside, which ``say`` is told."""
        plan = study.plan(data)
        trials = wanted(plan, only)
        set_damaged_aside(ledger, trials, say)
        todo = missing(ledger, trials.values(), retry_failed=retry_failed)  # first: another driver may end the last of tuning right now
        after = confirmation(study, data, ledger, plan, retry_failed=retry_failed, only=only)
        confirming = wanted(after.trials, only)
        set_damaged_aside(ledger, confirming, say)
        todo += missing(ledger, confirming.values(), retry_failed=retry_failed)
        return cls(study, data, ledger, retry_failed, only, plan, after, trials | confirming, todo, failed_before(ledger, todo))

    @property
    def later(self) -> list[Trial]:
        """Stand-ins for the trials that there may be at most, as long as these are not known; none where single ones are meant."""
        return list(self.after.expected) if self.only is None else []

    def choices(self) -> list[str]:
        """What tuning chose, in words; nothing while it goes on."""
        return choices(self.after, self.plan)

    def left(self) -> list[Trial]:
        """The trials that have not ended."""
        return left_of(self.ledger, self.todo, self.failed)

    def is_tuned(self) -> bool:
        """Whether tuning has ended by now, and what follows from it is to be found out."""
        return self.study.tuning is not None and self.after.chosen is None and not self.left()

    def confirm(self, progress: Progress) -> tuple[dict[str, Trial], list[Trial]]:
        """Goes on to what follows from tuning, and tells of it: all of these trials by key, and those that are to run."""
        say = progress.display.say
        after = confirmation(self.study, self.data, self.ledger, self.plan)
        confirming = wanted(after.trials, self.only)
        for line in choices(after, self.plan):
            say(line)
        set_damaged_aside(self.ledger, confirming, say)
        further = missing(self.ledger, confirming.values(), retry_failed=self.retry_failed)
        if confirming:
            there = len(confirming) - len(further)
            say(f"{counted(len(confirming), 'trial')} of confirmation planned, {there} in the ledger, {len(further)} to run")
            progress.extend(confirming, *standing(self.ledger, confirming), further)
        failed = failed_before(self.ledger, further)
        # Last, and all at once: an interruption before this leaves what may follow from tuning, which it tells.
        self.after, self.trials, self.todo = after, self.trials | confirming, [*self.todo, *further]
        self.failed |= failed
        return confirming, further
