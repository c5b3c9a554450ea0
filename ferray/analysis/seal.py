"""The seal on the test set: figures on it are shown of final configurations only, and each opening is written into the ledger.

Whoever looks at the test figures of many configurations will, in the end, choose by them, and what was chosen by a figure is not
measured by it (Dwork and others 2015, Science 349, on the reuse of holdout data). So the trials that only help to choose have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from ferray.errors import LedgerError
from ferray.ledger import openings
from ferray.ledger.catalog import Place

if TYPE_CHECKING:
    from ferray.analysis.results import Results

SEALED = "test"
"""The split whose figures are guarded."""


def chosen_samples(trials: pd.DataFrame) -> dict[str, int]:
    """By variant the sample with the highest mean validation accuracy, among those with the most finished seeds.

    ``trials`` are rows of one study. The test split takes no part in the choice. A variant without a finished trial is left out.
    """
    finished = trials[trials["status"] == "finished"]
    scores = finished.groupby(["variant", "sample"])["validation_accuracy"].agg(["size", "mean"]).reset_index()
    ranked = scores.sort_values(["size", "mean", "sample"], ascending=[False, False, True])
    best = ranked.drop_duplicates("variant")[["variant", "sample"]]
    return {str(variant): int(sample) for variant, sample in best.itertuples(index=False)}


def sealed_keys(trials: pd.DataFrame) -> frozenset[str]:
    """The keys of trials whose test figures are not shown.

    These are trials of the tuning, samples that were not chosen where a study searches without a tuning phase, and trials that no study
    plans, of which nobody says that they are final. A trial that is final in one place is open.
    """
    is_open: set[str] = set()
    for _, own in trials[trials["study"].notna()].groupby("study", sort=False):
        final = own[own["phase"] != "tuning"]
        if len(final) == len(own):
            chosen = final["variant"].map(chosen_samples(final))
            is_single = final.groupby("variant")["sample"].transform("nunique") == 1
            final = final[is_single | (final["sample"] == chosen).fillna(False).astype(bool)]
        is_open.update(final["key"])
    return frozenset(set(trials["key"]) - is_open)


def closed(frame: pd.DataFrame, keys: frozenset[str]) -> pd.DataFrame:
    """The frame, of trials or epochs, with NaN for the test figures of the sealed trials."""
    names = [name for name in frame.columns if name.startswith((f"{SEALED}_", f"last_{SEALED}_"))]
    if keys and names:
        frame.loc[frame["key"].isin(keys), names] = float("nan")
    return frame


def record_opening(results: Results, who: str) -> str | None:
    """Writes down that the test figures which ``results`` show are seen now, as far as they were not before.

    Gives what is wrong where the ledger cannot be written, as a copied folder may not be, else None.
    """
    shown = results.trials[results.trials[[f"{SEALED}_accuracy", f"last_{SEALED}_accuracy"]].notna().any(axis="columns")]
    try:
        for study, own in shown[shown["study"].notna()].groupby("study", sort=False):
            names = {}
            for row in own.to_dict("records"):
                place = Place(str(study), row["variant"], row["sample"], row["phase"])
                names[str(row["key"])] = place.label
            openings.record(results.ledger, str(study), who, names, SEALED)
    except LedgerError as error:
        return str(error)
    return None
