"""A plan for people: tables of variants by seeds or by counts, and its sentences below them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ferray.running import price
from ferray.running.plan import STATES, Plan, sentences

if TYPE_CHECKING:
    from ferray.trial import Trial

MOST_SEEDS = 10
"""So many seeds have a column of their own."""


def drawn(plan: Plan) -> RenderableType:
    """The plan for people: a table of variants by seeds or counts, and sentences about what a run takes."""
    if plan.is_tuned:
        tables = [_by_count(plan, "tuning", lambda trial: trial.phase == "tuning")]
        if plan.after.expected:
            tables.append(_expected(plan))
        elif plan.after.trials:
            tables.append(_by_count(plan, "confirmation", lambda trial: trial.phase != "tuning"))
    else:
        tables = [_by_seed(plan) if _has_columns_for_seeds(plan) else _by_count(plan)]
    spaced = [part for table in tables for part in (table, Text())]
    return Group(*spaced, *(Text(sentence) for sentence in [*sentences(plan), *price.sentences(plan.price)]))


def _has_columns_for_seeds(plan: Plan) -> bool:
    return len({trial.config.seed for trial in plan.trials}) <= MOST_SEEDS and len({trial.sample for trial in plan.trials}) == 1


def _by_seed(plan: Plan) -> Table:
    seeds = list(dict.fromkeys(trial.config.seed for trial in plan.trials))
    table = _table()
    for seed in seeds:
        table.add_column(f"seed {seed}", no_wrap=True)
    rows: dict[str, dict[int, str]] = {}
    for trial in plan.trials:
        state = plan.states[trial.key]
        told = f"{plan.epochs[trial.key]}/{trial.config.epochs} epochs" if state == "half-trained" else state
        rows.setdefault(trial.variant, {})[trial.config.seed] = told
    for variant, cells in rows.items():
        table.add_row(variant, *(Text(cells.get(seed, ""), style=_style(cells.get(seed, ""))) for seed in seeds))
    return table


def _by_count(plan: Plan, heading: str = "variant", counts_in: Callable[[Trial], bool] = lambda trial: True) -> Table:
    """A line for each variant: how many samples, seeds and trials it has, and in which states; of trials that count in, each once."""
    trials = list({(trial.variant, trial.key): trial for trial in plan.trials if counts_in(trial)}.values())
    states = [state for state in STATES if any(plan.states[trial.key] == state for trial in trials)]
    table = _table(heading)
    for name in ("samples", "seeds", "trials", *states):
        table.add_column(name, justify="right")
    for variant in dict.fromkeys(trial.variant for trial in trials):
        own = [trial for trial in trials if trial.variant == variant]
        counts = Counter(plan.states[trial.key] for trial in own)
        numbers = [len({trial.sample for trial in own}), len({trial.config.seed for trial in own}), len(own)]
        table.add_row(variant, *(f"{number:,}" for number in numbers), *(f"{counts[state]:,}" if counts[state] else "" for state in states))
    return table


def _expected(plan: Plan) -> Table:
    """A line for each variant: how many trials of confirmation it may have at most."""
    table = _table("confirmation")
    table.add_column("trials, at most", justify="right")
    for variant, number in Counter(trial.variant for trial in plan.after.expected).items():
        table.add_row(variant, f"{number:,}")
    return table


def _table(heading: str = "variant") -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    table.add_column(heading, no_wrap=True, overflow="ellipsis")
    return table


def _style(state: str) -> str:
    return {"in the ledger": "green", "failed": "red", "to run": "", "running": "cyan"}.get(state, "yellow")
