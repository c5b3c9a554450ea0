"""Divergence: whether training without something, or of another variant, is lost more often than the baseline's."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from ferray.analysis.claims import Claim
from ferray.analysis.comparisons import Comparison, comparisons
from ferray.analysis.effect_sentences import equal, factors_label
from ferray.analysis.results import Results
from ferray.analysis.selection import speaking_trials
from ferray.analysis.statistics import Estimate
from ferray.analysis.wording import plural

LOST = ("diverged", "failed")
STRIKING = 0.5
"""Share of lost trainings from which a remark is made, however few there are."""
METHOD = (
    "Fisher's exact test, two-sided, of the lost among the trainings that ended, over the seeds that ended on both sides; it takes no "
    "account of the pairing by seed, as with few seeds McNemar's paired test can decide nothing"
)


def divergence_claims(results: Results) -> list[Claim]:
    """A claim for every variant that diverges or fails on more seeds than the one it is compared with (steps of a path apart).

    The number is the share of seeds that the worse of the two loses beyond the other, so that a factor without which trainings are lost
    has a positive one. p is that of Fisher's exact test (Fisher 1922, Journal of the Royal Statistical Society 85), without correction.
    """
    trials = speaking_trials(results)
    claims = []
    for comparison in comparisons(results):
        if comparison.kind != "step":
            claim = _claim(results, trials, comparison)
            claims += [] if claim is None else [claim]
    return claims


def divergence_remarks(claims: Sequence[Claim]) -> list[str]:
    """The sentences of the claims (of ``divergence_claims``) whose p is below 0.05, or whose variant lost half of its trainings or more."""
    return [
        claim.sentence
        for claim in claims
        if claim.estimates["seeds"].p < 0.05 or sum(claim.counts[status] for status in LOST) >= STRIKING * claim.counts["paired"]
    ]


def _claim(results: Results, trials: pd.DataFrame, comparison: Comparison) -> Claim | None:
    own, reference = (_ended(trials, name) for name in (comparison.varied, comparison.reference))
    seeds = own.index.intersection(reference.index)
    own, reference = own.loc[seeds], reference.loc[seeds]
    lost, kept = int(own["status"].isin(LOST).sum()), int(reference["status"].isin(LOST).sum())
    n = len(seeds)
    if lost <= kept:
        return None
    p = float(stats.fisher_exact(np.array([[lost, n - lost], [kept, n - kept]])).pvalue)
    direction = 1 if comparison.varied == comparison.worse else -1
    difference = direction * (lost - kept) / n
    return Claim(
        name=f"divergence/{comparison.kind}/{comparison.subject}",
        kind="divergence",
        subject=comparison.subject,
        split="",
        metric="lost trainings",
        unit="share",
        estimates={"seeds": Estimate(difference, math.nan, math.nan, n, p=p)},
        methods={"seeds": METHOD},
        keys=(*map(str, own["key"]), *map(str, reference["key"])),
        sentence=_sentence(comparison, own["status"], lost, kept, n, p),
        compared=(comparison.better, comparison.worse),
        counts={
            "planned": int((trials["variant"] == comparison.varied).sum()),
            "paired": n,
            **{status: int((own["status"] == status).sum()) for status in LOST},
            **{f"reference_{status}": int((reference["status"] == status).sum()) for status in LOST},
        },
    )


def _sentence(comparison: Comparison, statuses: pd.Series[str], lost: int, kept: int, n: int, p: float) -> str:
    kinds = [f"{int((statuses == status).sum())} {status}" for status in LOST if (statuses == status).any()]
    who = comparison.varied
    if comparison.kind == "effect" and not comparison.added:
        who = f"Without {factors_label(comparison.subject)}"
    told = f"{who}, {lost} of {plural(n, 'training')} {'was' if lost == 1 else 'were'} lost ({', '.join(kinds)})"
    return f"{told}, of {comparison.reference} {kept} of {n}; p {equal(p)} (Fisher's exact test)."


def _ended(trials: pd.DataFrame, variant: str) -> pd.DataFrame:
    own = trials[(trials["variant"] == variant) & trials["status"].isin(["finished", *LOST])]
    return own.drop_duplicates("seed").set_index("seed").sort_index()
