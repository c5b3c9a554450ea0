"""The confirmation of a tuned study: what its tuning chose, as far as the ledger tells, and the trials that compare the variants there."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from ferray.errors import LedgerError
from ferray.ledger import Ledger
from ferray.running.standing import missing
from ferray.tuning import Score, choose

if TYPE_CHECKING:
    from ferray.data import Dataset
    from ferray.study import Study
    from ferray.trial import Trial


@dataclass(frozen=True)
class Confirmation:
    """What comes after the tuning of a study; empty for a study without.

    ``chosen`` is each variant's best sample, and ``left_out`` names the variants that have none; ``chosen`` is None while tuning goes on.
    Until then ``expected`` has a stand-in, one of the tuning trials of the same variant, for each trial that there may be at most.
    """

    trials: Sequence[Trial] = ()
    chosen: Mapping[str, int] | None = None
    left_out: Sequence[str] = ()
    expected: Sequence[Trial] = ()


NOTHING_AFTER = Confirmation()
"""Of a study that is not tuned."""


def confirmation(
    study: Study,
    data: Dataset,
    ledger: Ledger,
    tuning: Sequence[Trial],
    *,
    retry_failed: bool = False,
    only: Collection[str] | None = None,
) -> Confirmation:
    """What comes after the trials of ``Study.plan``, which are those that tune where the study is tuned.

    It is known once all of these have ended. Where failed ones are to run again (of those in ``only``, where it is given), they have not.
    """
    if study.tuning is None:
        return NOTHING_AFTER
    wanted = [trial for trial in tuning if only is None or trial.key in only]
    if not missing(ledger, tuning) and not missing(ledger, wanted, retry_failed=retry_failed):
        scores = _scores(ledger, tuning)
        if scores is not None:
            chosen = choose(scores)
            left_out = [variant.name for variant in study.all_variants() if variant.name not in chosen]
            return Confirmation(study.confirmation(chosen, data), chosen, left_out)
    return Confirmation(expected=_stand_ins(study, tuning))


def _scores(ledger: Ledger, tuning: Iterable[Trial]) -> list[Score] | None:
    """Of the finished trials; None where one cannot be read, which will run again."""
    scores = []
    for trial in tuning:
        try:
            record = ledger.record(trial.key) or {}
            if record.get("status") == "finished":
                accuracy = ledger.epoch(trial.key, record["selected_epoch"]).get("validation_accuracy")
                scores.append(Score(trial.variant, trial.sample, math.nan if accuracy is None else accuracy))
        except (LedgerError, LookupError, OSError):
            return None
    return scores


def _stand_ins(study: Study, tuning: Sequence[Trial]) -> list[Trial]:
    """On each seed a variant has two trials at most, the baseline one; its samples take turns, since they may cost differently."""
    expected: list[Trial] = []
    for variant in study.all_variants():
        own = list({trial.sample: trial for trial in tuning if trial.variant == variant.name}.values())
        often = len(study.all_seeds) * (1 if variant.name == study.baseline else min(2, len(own)))
        expected += islice(cycle(own), often)
    return expected


def choices(found: Confirmation, trials: Iterable[Trial]) -> list[str]:
    """What tuning chose, and for which variants it could not; nothing while it goes on. ``trials`` are those that tuned."""
    if found.chosen is None:
        return []
    values = {(trial.variant, trial.sample): trial.overrides for trial in trials}
    best = [f"{variant} sample {sample}{_settings(values[variant, sample])}" for variant, sample in found.chosen.items()]
    lines = [f"tuning chose, by validation accuracy: {', '.join(best)}"] if best else []
    reason = "has finished in tuning, so there are no settings to confirm: it is left out of what follows"
    return [*lines, *(f"no trial of {variant} {reason}" for variant in found.left_out)]


def _settings(overrides: Mapping[str, Any]) -> str:
    shown = ", ".join(f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in overrides.items())
    return f" ({shown})" if shown else ""


def document(study: Study, found: Confirmation) -> dict[str, Any] | None:
    """What the ledger keeps of a study's tuning, for the report: its seeds and scheduler, and the sample that it chose for each variant.

    ``chosen`` is empty until that is known; variants that it lacks then are left out of the confirmation.
    """
    if study.tuning is None:
        return None
    settings = study.tuning.model_dump(mode="json")
    return {**settings, "seeds": list(study.tuning.all_seeds), "chosen": dict(found.chosen or {})}
