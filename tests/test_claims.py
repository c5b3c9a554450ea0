"""claims.json: what the page says, for machines, and that the page says the same."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from ledger_fixture import Made, make_ledger

from ferray.analysis.claims import FORMAT, Claim, as_json, write
from ferray.analysis.figures import Drawing
from ferray.analysis.report import write_report
from ferray.analysis.statistics import Estimate

OUTCOME = {("dnn", 1): "failed", ("no augmentation, input scaling", 0): "diverged"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_ledger(tmp_path_factory.mktemp("ledger"), seeds=4, images=300, epochs=3, outcome=OUTCOME)


@pytest.fixture(scope="module")
def page(made: Made) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ferray.analysis.page.render", lambda name, draw, fonts: Drawing(name, b"", b""))
        return write_report(made.path, "report")


@pytest.fixture(scope="module")
def told(page: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((page.parent / "claims.json").read_text(encoding="utf-8"))
    return content


def test_claims_lie_beside_the_page_and_have_names_of_their_own(told: dict[str, Any]) -> None:
    assert (told["format"], told["study"]) == (FORMAT, "report")
    names = [claim["name"] for claim in told["claims"]]
    assert len(set(names)) == len(names)
    assert {"effect", "step", "variant", "divergence"} <= {claim["kind"] for claim in told["claims"]}


def test_every_claim_has_its_trials_its_number_and_the_method_of_each_estimate(told: dict[str, Any], made: Made) -> None:
    for claim in told["claims"]:
        assert claim["keys"]
        assert set(claim["keys"]) <= set(made.keys.values())
        assert set(claim["estimates"]) <= set(claim["methods"])
        if claim["kind"] in ("effect", "variant", "step"):
            assert claim["counts"]["paired"] <= claim["counts"]["planned"]
            assert all(estimate["n"] == claim["counts"]["paired"] for estimate in claim["estimates"].values())
        if claim["verdict"] is not None:
            assert claim["decided_by"] in claim["estimates"]
            assert claim["margin"] == 0.5
            assert (claim["p_adjusted"] < 0.05) >= (claim["verdict"] in ("helps", "hurts"))


def test_the_page_says_every_verdict_in_the_claims_own_words(told: dict[str, Any], page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("&#39;", "'").replace("&lt;", "<")
    judged = [claim for claim in told["claims"] if claim["verdict"] or claim["kind"] == "divergence"]
    assert len(judged) > 5
    for claim in judged:
        assert claim["sentence"] in text
        assert all(caveat in text for caveat in claim["caveats"] if claim["kind"] != "step")


def test_what_is_not_finite_is_null_and_every_number_a_plain_one(tmp_path: Path) -> None:
    claim = Claim(
        name="a", kind="effect", subject="b", split="test", metric="accuracy", unit="points", keys=("k",), sentence="s",
        estimates={"both": Estimate(1.0, math.nan, math.inf, 1)}, methods={"both": "t"}, details={"points": {3: 0.5}},
    )  # fmt: skip
    write(tmp_path / "claims.json", "study", [claim])
    read = json.loads((tmp_path / "claims.json").read_text())
    assert read == as_json("study", [claim])
    assert read["claims"][0]["estimates"]["both"]["low"] is None
    assert read["claims"][0]["details"] == {"points": {"3": 0.5}}
