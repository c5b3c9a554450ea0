"""What a run says: at its beginning what is to do, and what is left where it ends before that is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ferray.running.estimate import counted, duration, makespan
from ferray.running.study_record import command

if TYPE_CHECKING:
    from ferray.budget import Budget
    from ferray.ledger import Ledger
    from ferray.running.estimate import Pace
    from ferray.study import Study
    from ferray.trial import Trial


def what_is_to_do(
    study: Study, trials: dict[str, Trial], todo: list[Trial], later: list[Trial], ledger: Ledger, pace: Pace, slots: int | None
) -> str:
    """How many trials there are, how many of them are to run, how many may follow (``later``), and how long that takes.

    ``slots`` is how many run at a time, None where nobody knows, and ``pace`` holds seconds per epoch, as far as known.
    """
    there = len(trials) - len(todo)
    plan = f"study {study.name}: {_planned(study, trials)} planned, {there} in the ledger, {len(todo)} to run"
    if later:
        plan += f", and then at most {counted(len(later), 'trial')} of confirmation"
    if not todo:
        return plan
    begun = {trial.key: len(ledger.epochs(trial.key)) for trial in todo}
    half_trained = sum(epochs > 0 for epochs in begun.values())
    stages = [[(trial.key, trial.config.epochs - begun[trial.key]) for trial in todo], [(one.key, one.config.epochs) for one in later]]
    told = [f"about {counted(sum(epochs for stage in stages for _, epochs in stage), 'epoch')}"]
    if all(key in pace.seconds for stage in stages for key, _ in stage):
        jobs = [[pace.seconds[key] * epochs for key, epochs in stage] for stage in stages]
        seconds = sum(makespan(stage, slots) if slots else sum(stage) for stage in jobs)
        told.append(f"{duration(seconds)}{'' if slots else ' of training'} by {pace.basis}")
    return f"{plan}{f', {half_trained} of them half-trained' if half_trained else ''} ({', '.join(told)})"


def _planned(study: Study, trials: dict[str, Trial]) -> str:
    if study.tuning is None:
        return counted(len(trials), "trial")
    tuning = sum(trial.phase == "tuning" for trial in trials.values())
    confirming = f" and {len(trials) - tuning:,} of confirmation" if len(trials) > tuning else ""
    return f"{counted(tuning, 'trial')} of tuning{confirming}"


def interrupted(left: list[Trial], later: list[Trial], ledger: Ledger) -> str:
    """What an interruption leaves, and how to go on."""
    again = command()
    how = f"go on with: {again}" if again.startswith("python -m") else "run the same again to go on"
    return f"interrupted: what has ended is kept, {_rest(left, later, ledger)}; {how}"


def out_of_budget(budget: Budget, left: list[Trial], later: list[Trial], ledger: Ledger) -> str:
    """What a budget that is spent leaves, and how to go on."""
    more = "the same command goes on" if budget.unit == "hours" else "the same command goes on once `budget` is larger"
    return f"the budget of {budget.told()} is spent: {_rest(left, later, ledger)}; {more}"


def _rest(left: list[Trial], later: list[Trial], ledger: Ledger) -> str:
    half_trained = sum(ledger.resumable_epochs(trial.key) > 0 for trial in left)
    half = f", {half_trained} of them from a checkpoint" if half_trained else ""
    then = f", and then at most {counted(len(later), 'trial')} of confirmation" if later else ""
    return f"{counted(len(left), 'trial')} {'is' if len(left) == 1 else 'are'} left{half}{then}"
