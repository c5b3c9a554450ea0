"""Optimism: how much better things looked where they were chosen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ledger_fixture import PATH, make_ledger
from scipy import stats
from test_seal import tuned

from ferray.analysis.optimism import opened_info, opened_sentences, optimism_claims, welch
from ferray.analysis.results import Results

TWO = {name: PATH[name] for name in ("cnn", "dnn")}


def test_the_gap_is_validation_minus_test_of_each_seed(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, variants=TWO, seeds=4, epochs=4, images=60)
    results = Results.load(made.path, made.name)
    claims = {claim.name: claim for claim in optimism_claims(opened_info(results))}
    assert list(claims) == ["optimism/gap/cnn", "optimism/gap/dnn"]
    own = results.trials[results.trials["variant"] == "dnn"]
    points = 100 * (own["validation_accuracy"] - own["test_accuracy"]).to_numpy(float)
    claim = claims["optimism/gap/dnn"]
    assert claim.estimates["seeds"].mean == pytest.approx(points.mean())
    expected = stats.ttest_1samp(points, 0).confidence_interval()
    assert (claim.estimates["seeds"].low, claim.estimates["seeds"].high) == pytest.approx((expected.low, expected.high))
    assert claim.keys == tuple(own["key"])
    assert claim.kind == "optimism"
    assert claim.sentence.startswith("dnn: accuracy on the public test set minus that on the private test set")
    assert "different images" in claim.caveats[0]


def test_the_chosen_sample_is_held_against_fresh_seeds(tmp_path: Path) -> None:
    samples: list[dict[str, Any]] = [{"l2": 1e-5}, {"l2": 1e-4}]
    made = make_ledger(tmp_path, variants=TWO, seeds=5, samples=samples, epochs=4, images=60)

    def validate(variant: str, seed: int, accuracy: float) -> None:
        file = made.path / "trials" / made.keys[variant, 0, seed] / "epochs.jsonl"
        rows = [{**json.loads(line), "validation_accuracy": accuracy} for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    for seed, accuracy in enumerate([0.70, 0.60, 0.62, 0.61, 0.61]):
        validate("cnn", seed, accuracy)
    tuned(made)
    claims = {claim.name: claim for claim in optimism_claims(opened_info(Results.load(made.path, made.name)))}
    claim = claims["optimism/selection/cnn"]
    assert claim.estimates["seeds"].mean == pytest.approx(9.0)
    assert not claim.estimates["seeds"].has_interval  # one seed chose
    assert len(claim.keys) == 5
    assert (
        claim.sentence
        == "cnn: accuracy of the chosen sample on the public test set while it was chosen minus that on fresh seeds is +9.0 points."
    )


def test_welch_agrees_with_scipy() -> None:
    left, right = np.array([61.0, 63.5, 62.0]), np.array([60.0, 60.5, 61.5, 59.0])
    found = welch(left, right)
    test = stats.ttest_ind(left, right, equal_var=False)
    expected = test.confidence_interval()
    assert (found.low, found.high, found.p) == pytest.approx((expected.low, expected.high, test.pvalue))
    assert not welch(left[:1], right).has_interval


def test_without_test_images_there_is_no_gap_and_nothing_to_tell(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, variants=TWO, seeds=2, epochs=4, images=60, test="absent")
    results = Results.load(made.path, made.name)
    assert optimism_claims(opened_info(results)) == []
    assert opened_sentences(opened_info(results)) == []
