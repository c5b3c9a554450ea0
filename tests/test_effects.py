"""Effects: which variants are compared and in what direction, what each estimate rests on, and what verdicts may be given."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ledger_fixture import PATH, Made, make_ledger
from scipy import stats

from ferray.analysis.claims import Claim
from ferray.analysis.comparisons import comparisons
from ferray.analysis.crossed import METHODS, METHODS_REDRAWN, REDRAWN
from ferray.analysis.divergence import divergence_claims, divergence_remarks
from ferray.analysis.effects import effect_claims
from ferray.analysis.image_groups import image_groups
from ferray.analysis.results import Results

Variants = dict[str, tuple[dict[str, Any], list[str]]]
OUTCOME = {("dnn", 1): "failed", ("no augmentation", 2): "missing", ("no augmentation, input scaling", 0): "diverged"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_ledger(tmp_path_factory.mktemp("ledger"), seeds=6, images=400, epochs=3, outcome=OUTCOME)


@pytest.fixture(scope="module")
def claims(results: Results) -> dict[str, Claim]:
    return {claim.name: claim for claim in effect_claims(results)}


def designed(path: Path, design: str, variants: Variants, **options: Any) -> Results:
    """The results of a made-up study whose document names a design."""
    make_ledger(path, variants=variants, epochs=2, **options)
    file = path / "studies" / "report" / "study.json"
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "ablation": {"design": design, "factors": ["l1", "l2"]}}))
    return Results.load(path, "report")


CROSSED: Variants = {
    "base": ({}, []),
    "none": ({"l1": 0.0, "l2": 0.0}, ["l1", "l2"]),
    "only-l1": ({"l2": 0.0}, ["l2"]),
    "only-l2": ({"l1": 0.0}, ["l1"]),
}


def accuracies(results: Results, better: str, worse: str) -> np.ndarray[Any, Any]:
    done = results.trials[results.trials["status"] == "finished"].set_index(["variant", "seed"])["test_accuracy"]
    return (100 * (done[better] - done[worse])).dropna().to_numpy()


def test_a_path_compares_with_the_baseline_and_step_by_step(results: Results) -> None:
    told = [(one.kind, one.subject, one.better, one.worse) for one in comparisons(results)]
    removals = list(PATH)[2:]
    assert told == [
        ("effect", "augmentation", "cnn", removals[0]),
        ("effect", "augmentation+input_scaling", "cnn", removals[1]),
        ("effect", "augmentation+input_scaling+batch_norm", "cnn", removals[2]),
        ("step", "input_scaling", removals[0], removals[1]),
        ("step", "batch_norm", removals[1], removals[2]),
        ("variant", "dnn", "dnn", "cnn"),
    ]


def test_factors_added_one_at_a_time_are_compared_with_a_network_without_any(tmp_path: Path) -> None:
    results = designed(tmp_path, "add_one_in", CROSSED, seeds=3)
    told = [(one.subject, one.better, one.worse) for one in comparisons(results)]
    assert told == [("l1", "only-l1", "none"), ("l2", "only-l2", "none"), ("l1+l2", "base", "none")]
    sentences = [claim.sentence for claim in effect_claims(results) if claim.split == "test" and claim.metric == "accuracy"]
    assert sentences[0].startswith("L1 (added to the network without any factor)")


def test_variants_of_a_factorial_have_differences_and_no_verdicts(tmp_path: Path) -> None:
    results = designed(tmp_path, "factorial", CROSSED, seeds=3)
    claims = effect_claims(results)
    assert {claim.kind for claim in claims} == {"difference"}
    assert {claim.verdict for claim in claims} == {None}
    assert [one.better for one in comparisons(results)] == ["none", "only-l1", "only-l2"]


def test_leaving_one_out_has_no_steps(tmp_path: Path) -> None:
    variants: Variants = {"base": ({}, []), "no-l1": ({"l1": 0.0}, ["l1"]), "no-l1-l2": ({"l1": 0.0, "l2": 0.0}, ["l1", "l2"])}
    results = designed(tmp_path, "leave_one_out", variants, seeds=2)
    assert [one.kind for one in comparisons(results)] == ["effect", "effect"]


def test_an_effect_is_the_paired_difference_with_the_factor_minus_without(results: Results, claims: dict[str, Claim]) -> None:
    claim = claims["effect/augmentation/test/accuracy"]
    differences = accuracies(results, "cnn", "no augmentation")
    assert claim.estimates["both"].mean == pytest.approx(differences.mean())
    assert list(claim.details["points"].values()) == pytest.approx(differences)
    assert claim.estimates["seeds"].p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    assert claim.estimates["both"].error >= claim.estimates["seeds"].error > 0
    variant = claims["variant/dnn/test/accuracy"]
    assert variant.estimates["both"].mean == pytest.approx(accuracies(results, "dnn", "cnn").mean())
    assert variant.verdict == "hurts"


def test_the_signed_rank_test_is_that_of_scipy_and_needs_six_seeds(results: Results, claims: dict[str, Claim]) -> None:
    whole = claims["effect/augmentation+input_scaling+batch_norm/test/accuracy"]
    differences = accuracies(results, "cnn", list(PATH)[4])
    assert whole.details["wilcoxon_p"] == pytest.approx(stats.wilcoxon(differences).pvalue)
    assert math.isnan(claims["effect/augmentation/test/accuracy"].details["wilcoxon_p"])


def test_every_seed_is_paired_or_lost_for_one_reason_and_a_lost_one_is_a_caveat(claims: dict[str, Claim], made: Made) -> None:
    claim = claims["effect/augmentation+input_scaling/test/accuracy"]
    counts = dict(claim.counts)
    assert (counts["planned"], counts["paired"], counts["diverged"], counts["failed"], counts["missing"]) == (6, 5, 1, 0, 0)
    assert "seed 0 (no augmentation, input scaling diverged)" in claim.caveats[0]
    missing = claims["effect/augmentation/test/accuracy"]
    assert (missing.counts["paired"], missing.counts["missing"]) == (5, 1)
    assert "seed 2 (no augmentation has not run)" in missing.caveats[0]
    assert set(missing.keys) == {made.keys[name, 0, seed] for name in ("cnn", "no augmentation") for seed in (0, 1, 3, 4, 5)}


def test_the_loss_is_turned_so_that_positive_is_better(results: Results, claims: dict[str, Claim]) -> None:
    claim = claims["variant/dnn/test/loss"]
    assert claim.unit == "nats"
    assert claim.estimates["both"].mean < 0


def test_a_class_has_the_difference_of_its_recalls(results: Results, claims: dict[str, Claim], made: Made) -> None:
    labels = results.labels("test")
    assert labels is not None
    own = labels == results.classes.index("happy")

    def recall(variant: str, seed: int) -> float:
        probabilities = results.probabilities(made.keys[variant, 0, seed], "test")
        assert probabilities is not None
        return float((probabilities.argmax(axis=1)[own] == labels[own]).mean())

    expected = np.mean([recall("dnn", seed) - recall("cnn", seed) for seed in (0, 2, 3, 4, 5)])
    assert claims["variant/dnn/test/class:happy"].estimates["seeds"].mean == pytest.approx(100 * expected)


def test_verdicts_are_given_in_accuracy_on_the_split_told_first_and_p_is_adjusted_by_family(claims: dict[str, Claim]) -> None:
    judged = {name for name, claim in claims.items() if claim.verdict is not None}
    assert judged == {name for name in claims if name.endswith("test/accuracy")}
    family = [claim for name, claim in claims.items() if name.startswith("effect/") and name.endswith("test/macro_f1")]
    smallest = min(family, key=lambda claim: claim.estimates["both"].p)
    assert smallest.p_adjusted == pytest.approx(min(1, len(family) * smallest.estimates["both"].p))
    assert len({claim.family for claim in family}) == 1
    assert all(math.isnan(claim.p_equivalence) for claim in family)


def test_what_is_inconclusive_says_what_would_decide(tmp_path: Path) -> None:
    variants: Variants = {"cnn": ({}, []), "no augmentation": PATH["no augmentation"]}
    make_ledger(tmp_path, seeds=4, images=600, epochs=2, variants=variants)
    claim = next(one for one in effect_claims(Results.load(tmp_path, "report")) if one.split == "test" and one.metric == "accuracy")
    assert claim.verdict == "inconclusive"
    assert claim.seeds_needed is not None
    assert claim.seeds_needed > 4
    assert f"{claim.seeds_needed} seeds needed to decide" in claim.sentence


def test_fewer_than_three_paired_seeds_have_no_verdict_and_the_reason(tmp_path: Path) -> None:
    variants: Variants = {"cnn": ({}, []), "no augmentation": PATH["no augmentation"]}
    make_ledger(tmp_path, seeds=3, epochs=2, variants=variants, outcome={("cnn", 1): "failed"})
    for claim in effect_claims(Results.load(tmp_path, "report")):
        assert claim.verdict is None
        assert math.isnan(claim.p_adjusted)
        assert any("2 paired seeds: a verdict and an interval over seeds and images take 3" in caveat for caveat in claim.caveats)
        assert [claim.estimates[name].has_interval for name in ("seeds", "images", "both")] == [True, True, False]
        assert "(over images)" in claim.sentence


def test_a_setting_that_reaches_nothing_has_no_verdict(tmp_path: Path) -> None:
    variants: Variants = {"cnn": ({}, []), "no penalty": ({"l2": 0.5}, ["l2"])}
    make_ledger(tmp_path, variants=variants, dead=("l2",), seeds=4, epochs=2)
    claim = effect_claims(Results.load(tmp_path, "report"))[0]
    assert claim.estimates["both"].is_point
    assert claim.verdict is None
    assert "no spread" in " ".join(claim.caveats)


def test_without_a_pair_of_finished_seeds_the_claim_says_that_nothing_is_known(tmp_path: Path) -> None:
    variants: Variants = {"cnn": ({}, []), "no augmentation": PATH["no augmentation"]}
    make_ledger(tmp_path, variants=variants, seeds=2, epochs=2, outcome={("cnn", 0): "failed", ("no augmentation", 1): "diverged"})
    (claim,) = effect_claims(Results.load(tmp_path, "report"))
    assert (dict(claim.estimates), claim.verdict, claim.counts["paired"]) == ({}, None, 0)
    assert "nothing is known of it" in claim.sentence


def test_losing_trainings_more_often_than_the_baseline_is_a_claim_with_fishers_p(tmp_path: Path) -> None:
    variants: Variants = {"cnn": ({}, []), "bare": ({"batch_norm": False}, ["batch_norm"]), "fine": ({"l1": 0.0}, ["l1"])}
    outcome = {("bare", seed): "diverged" for seed in range(4)} | {("cnn", 0): "failed", ("fine", 0): "failed"}
    make_ledger(tmp_path, variants=variants, seeds=6, epochs=2, outcome=outcome)
    results = Results.load(tmp_path, "report")
    (claim,) = divergence_claims(results)
    assert (claim.subject, claim.counts["diverged"], claim.counts["reference_failed"]) == ("batch_norm", 4, 1)
    assert claim.estimates["seeds"].mean == pytest.approx(0.5)
    assert claim.estimates["seeds"].p == pytest.approx(stats.fisher_exact(np.array([[4, 2], [1, 5]])).pvalue)
    assert claim.sentence.startswith("Without batch norm, 4 of 6 trainings were lost (4 diverged), of cnn 1 of 6; p = 0.242")
    assert divergence_remarks([claim]) == [claim.sentence]


def test_near_identical_images_are_drawn_together(made: Made, results: Results, claims: dict[str, Claim], tmp_path: Path) -> None:
    make_ledger(tmp_path, seeds=6, images=400, epochs=3, outcome=OUTCOME)
    file = next(tmp_path.glob("data/*/evaluation.npz"))
    arrays = dict(np.load(file))
    arrays["test_images"][200:] = arrays["test_images"][:200]
    np.savez_compressed(file, **arrays)
    doubled = Results.load(tmp_path, "report")
    assert len(set(image_groups(results, "test"))) == 400  # type: ignore[arg-type]
    groups = image_groups(doubled, "test")
    assert groups is not None
    assert (groups[200:] == groups[:200]).all()
    claim = next(one for one in effect_claims(doubled) if one.name == "effect/augmentation/test/accuracy")
    alone = claims[claim.name]
    assert claim.counts["image_groups"] == 200
    assert "in 200 groups of near-identical ones" in claim.sentence
    assert claim.estimates["seeds"] == alone.estimates["seeds"]
    assert claim.estimates["images"].error != alone.estimates["images"].error


def test_on_images_that_seeds_draw_an_effect_rests_on_the_means_of_the_seeds(tmp_path: Path) -> None:
    make_ledger(tmp_path, redrawn=True, test="absent", seeds=5, images=300, epochs=2)
    results = Results.load(tmp_path, "report")
    labels = results.labels("validation")
    assert labels is not None
    told = {claim.name: claim for claim in effect_claims(results)}
    claim = told["variant/dnn/validation/accuracy"]
    right = {}
    for row in results.trials.to_dict("records"):
        probabilities = results.probabilities(row["key"], "validation")
        assert probabilities is not None
        right[row["variant"], row["seed"]] = 100 * (probabilities.argmax(axis=1) == labels).mean()
    differences = np.array([right["dnn", seed] - right["cnn", seed] for seed in range(5)])
    assert list(claim.details["points"].values()) == pytest.approx(differences)
    ratio = 300 / results.images_in("train")
    both = claim.estimates["both"]
    assert both.error == pytest.approx(math.sqrt((1 / 5 + ratio) * differences.var(ddof=1)))
    assert both.p == pytest.approx(2 * stats.t.sf(abs(differences.mean()) / both.error, 4))
    assert claim.verdict == "hurts"
    assert claim.methods == METHODS_REDRAWN
    assert all(REDRAWN in one.caveats for one in told.values())


def test_test_images_are_paired_over_seeds_that_draw_their_validation_split(tmp_path: Path) -> None:
    for name, redrawn in (("redrawn", True), ("plain", False)):
        make_ledger(tmp_path / name, redrawn=redrawn, seeds=4, images=200, epochs=2)
    told = [{claim.name: claim for claim in effect_claims(Results.load(tmp_path / name, "report"))} for name in ("redrawn", "plain")]
    name = "variant/dnn/test/accuracy"
    assert told[0][name].methods == told[1][name].methods == METHODS
    assert repr(told[0][name].estimates) == repr(told[1][name].estimates)  # NaN is not equal to itself
    assert told[0]["variant/dnn/validation/accuracy"].methods == METHODS_REDRAWN
