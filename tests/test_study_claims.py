"""Every claim of a study without its page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ledger_fixture import make_ledger
from test_factorial import factorial_ledger
from test_tuned import tuned_ledger

from ferray.analysis.figures import Drawing
from ferray.analysis.matches import place
from ferray.analysis.results import Results
from ferray.analysis.sections import compose
from ferray.analysis.study_claims import study_claims


def path_ledger(path: Path) -> Results:
    make_ledger(path, epochs=4, images=300, shape=(1, 8, 8), outcome={("dnn", 1): "diverged"})
    return Results.load(path, "report")


@pytest.mark.parametrize("made", [path_ledger, factorial_ledger, tuned_ledger])
def test_they_are_those_of_the_report_and_each_is_of_something_else(
    made: Callable[[Path], Results], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ferray.analysis.page.render", lambda name, draw, fonts: Drawing(name, b"", b""))
    results = made(tmp_path)
    claims = study_claims(results)
    assert sorted(claim.name for claim in claims) == sorted(claim.name for claim in compose(results)[1])
    assert len({place(results, claim) for claim in claims}) == len(claims)
