"""Which trials speak for a variant: all seeds of it, and of the sample that validation chose where the study searches."""

from __future__ import annotations

from typing import Any

import pandas as pd

from ferray.analysis.results import Results


def chosen_samples(results: Results) -> dict[str, int]:
    """The sample of each variant with the highest mean validation accuracy, among those with the most finished seeds.

    Without a search every variant has one sample. The test split takes no part in the choice. A tuned study has chosen by itself, and a
    variant is not in it that has nothing to choose from, or not yet.
    """
    return dict(results.chosen_samples)


def speaking_trials(results: Results) -> pd.DataFrame:
    """The rows of ``results.trials`` at each variant's chosen sample, whatever their status; of a tuned study those that confirm it."""
    return results.speaking.copy()


def searching_trials(results: Results) -> pd.DataFrame:
    """The rows of ``results.trials`` among which samples are chosen: those that tune, or all of a study that is not tuned."""
    return results.trials[results.trials["phase"] == ("tuning" if results.tuning else "final")]


def finished_of(trials: pd.DataFrame, variant: str) -> pd.DataFrame:
    """The finished trials of a variant, one row per seed, indexed by seed."""
    own = trials[(trials["variant"] == variant) & (trials["status"] == "finished")]
    return own.drop_duplicates("seed").set_index("seed").sort_index()


def best_variant(results: Results) -> str | None:
    """The variant of highest mean validation accuracy among those with the most finished seeds, the study's first among equals.

    Losing a bad seed is thereby no advantage. None where no trial has finished.
    """
    finished = speaking_trials(results)
    finished = finished[finished["status"] == "finished"]
    if finished.empty:
        return None
    scores = finished.groupby("variant", sort=False)["validation_accuracy"].agg(["size", "mean"])
    most: Any = scores.loc[scores["size"] == scores["size"].max(), "mean"]
    return str(most.idxmax())


def searched_fields(results: Results) -> list[str]:
    """The dotted names of the settings that the plan's samples vary."""
    names: dict[str, None] = {}
    for entry in results.plan:
        names.update(dict.fromkeys(entry["overrides"]))
    return list(names)
