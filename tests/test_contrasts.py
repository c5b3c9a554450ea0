"""The table behind a claim, a row per seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ledger_fixture import make_ledger
from test_factorial import factorial_ledger
from test_tuned import tuned_ledger

from ferray.analysis.contrasts import DESIGNED, PAIRS, Contrasts
from ferray.analysis.results import Results
from ferray.analysis.study_claims import study_claims


def path_ledger(path: Path) -> Results:
    make_ledger(path, epochs=2, shape=(1, 8, 8), outcome={("cnn", 1): "failed"})
    return Results.load(path, "report")


LEDGERS = {"path": path_ledger, "factorial": lambda path: factorial_ledger(path, images=200), "tuned": tuned_ledger}
KINDS = {"path": {"effect", "step", "variant"}, "factorial": {"difference", *DESIGNED}, "tuned": {"effect", "step", "variant", "tuned"}}


@pytest.mark.parametrize("name", LEDGERS)
def test_the_rows_of_a_claim_have_its_points_as_means_whatever_its_kind(name: str, tmp_path: Path) -> None:
    results = LEDGERS[name](tmp_path)
    contrasts = Contrasts(results)
    seen = set()
    for claim in study_claims(results):
        rows = contrasts.rows(claim)
        if claim.kind in (*PAIRS, *DESIGNED, "tuned"):
            assert {seed: row.mean() for seed, row in rows.items()} == pytest.approx(claim.details["points"]), claim.name
            assert all(np.shape(row) == (results.images_in(claim.split),) for row in rows.values())
            seen.add(claim.kind)
        else:
            assert rows == {}
    assert KINDS[name] - {"step"} <= seen
