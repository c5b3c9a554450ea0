"""Claims of two studies side by side: how their difference is taken, and what it covers."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ledger_fixture import make_ledger
from scipy import stats
from test_factorial import THREE, factorial_ledger

from ferray.analysis.crossed import crossed
from ferray.analysis.effects import effect_claims
from ferray.analysis.matches import Match, Matcher, between, by_place, same_images, square_and_add, welch
from ferray.analysis.results import Results
from ferray.analysis.statistics import Estimate, clopper_pearson, student, wilson
from ferray.analysis.study_claims import study_claims

OPTIONS: dict[str, Any] = {"images": 200, "epochs": 2, "shape": (1, 8, 8)}


def study(path: Path, **given: Any) -> Results:
    make_ledger(path, name="study", **{**OPTIONS, **given})
    return Results.load(path, "study")


def matched(first: Results, second: Results) -> dict[str, Match]:
    matcher = Matcher(first, second)
    left, right = (by_place(results, study_claims(results)) for results in (first, second))
    found = [matcher.match(left[place], right[place]) for place in left if place in right]
    return {match.first.name: match for match in found if match is not None}


def test_an_unpaired_difference_of_seeds_alone_is_welchs_test() -> None:
    generator = np.random.default_rng(2)
    values = generator.normal(1, 1, 4), generator.normal(0, 3, 7)
    left, right = (student(one.mean(), float(stats.sem(one)), len(one) - 1, len(one)) for one in values)
    expected = stats.ttest_ind(*values, equal_var=False)
    assert welch(left, right).p == pytest.approx(expected.pvalue)


def test_a_difference_of_shares_from_their_limits_is_newcombes() -> None:
    """His example of method 10: 56 of 70 and 48 of 80."""
    told = square_and_add(wilson(56, 70), wilson(48, 80))
    assert (told.mean, told.low, told.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize("shared", [True, False])
def test_a_difference_over_the_same_images_with_other_seeds_covers_its_truth(*, shared: bool) -> None:
    """95 % of 500 intervals, to three standard errors; the images' own effect is in both tables, or only in one."""
    generator = np.random.default_rng(7)
    covered = 0
    for _ in range(500):
        images, own = generator.normal(0, 1, 80), generator.normal(0, 1, 80)
        tables = [
            truth + each + generator.normal(0, 0.1, (n, 1)) + generator.normal(0, 1, (n, 80))
            for truth, n, each in ((1.0, 4, images), (0.0, 6, images if shared else own))
        ]
        told = between(tables)
        covered += told.low <= 1.0 <= told.high
    assert 0.92 <= covered / 500 <= 0.98


def test_images_in_common_make_a_difference_surer_than_independent_estimates() -> None:
    generator = np.random.default_rng(1)
    images = generator.normal(0, 3, 200)
    tables = [images + generator.normal(0, 1, (5, 200)) for _ in range(2)]
    apart = between(tables)
    assert apart.mean == pytest.approx(tables[0].mean() - tables[1].mean())
    assert apart.error < 0.5 * welch(*(crossed(table).both for table in tables)).error
    with pytest.raises(ValueError, match="two seeds"):
        between([tables[0], tables[1][:1]])


def test_a_study_of_fewer_training_images_has_the_same_test_images(tmp_path: Path) -> None:
    first, second, third = (study(tmp_path / name, images=images) for name, images in (("a", 200), ("b", 200), ("c", 210)))
    data = json.loads((second.ledger.path / "studies" / "study" / "study.json").read_text())
    data["data"]["fingerprint"] = "e" * 32
    folder = second.ledger.path / "data"
    (folder / second.data["fingerprint"]).rename(folder / ("e" * 32))
    (second.ledger.path / "studies" / "study" / "study.json").write_text(json.dumps(data))
    second = Results.load(second.ledger, "study")
    assert second.data["fingerprint"] != first.data["fingerprint"]
    assert same_images(first, second, "test")
    assert not same_images(first, third, "test")


def test_seeds_are_paired_where_enough_of_them_are_shared(tmp_path: Path) -> None:
    first = study(tmp_path / "first", seeds=4)
    few = study(tmp_path / "few", seeds=6, epochs=3, outcome={("cnn", 0): "failed", ("cnn", 1): "failed"})
    most = study(tmp_path / "most", seeds=4, epochs=3, outcome={("cnn", 3): "failed"})
    many = study(tmp_path / "many", seeds=9, epochs=3)
    ways = {results.ledger.path.name: matched(first, results)["effect/augmentation/test/accuracy"] for results in (few, most, many)}
    assert [(match.way, match.shared) for match in ways.values()] == [("images", 0), ("seeds and images", 3), ("images", 0)]
    left, right = ways["few"].sides
    assert ways["few"].difference.mean == pytest.approx(left.mean - right.mean)


def test_two_seeds_of_one_study_leave_a_difference_over_seeds_alone(tmp_path: Path) -> None:
    first, second = study(tmp_path / "first", seeds=4), study(tmp_path / "second", seeds=2, epochs=3)
    match = matched(first, second)["effect/augmentation/test/accuracy"]
    assert (match.way, match.estimate, match.shared) == ("independent", "seeds", 0)
    assert match.difference == welch(*match.sides)


def test_claims_of_the_same_trials_have_no_difference_to_estimate(tmp_path: Path) -> None:
    first = study(tmp_path / "first")
    second = study(tmp_path / "second", variants=None)
    for match in matched(first, second).values():
        assert (match.way, match.difference.mean, match.difference.has_interval) == ("same trials", 0, False)
        assert match.common == len(set(match.first.keys))


def test_a_number_over_some_of_the_others_trials_differs_by_further_seeds_alone(tmp_path: Path) -> None:
    first, second = study(tmp_path / "first", seeds=5), study(tmp_path / "second", seeds=3)
    match = matched(first, second)["effect/augmentation/test/accuracy"]
    left, right = match.sides
    assert match.way == "further seeds"
    assert match.difference.mean == pytest.approx(left.mean - right.mean) != 0
    assert not match.difference.has_interval


def test_effects_of_the_same_seeds_in_a_larger_design_are_paired_and_no_further_seeds(tmp_path: Path) -> None:
    """All trials of a factorial of two factors are among those of a factorial of three."""
    first, second = (factorial_ledger(tmp_path / f"{len(factors)}", factors=factors, images=200) for factors in (THREE[:2], THREE))
    match = matched(first, second)["main_effect/augmentation/test/accuracy"]
    assert set(match.first.keys) < set(match.second.keys)
    assert (match.way, match.shared) == ("seeds and images", 4)
    assert match.difference.has_interval
    assert match.difference.mean == pytest.approx(match.sides[0].mean - match.sides[1].mean)


def test_trials_in_common_are_counted(tmp_path: Path) -> None:
    path = {"cnn": ({}, []), "weak": ({"augmentation.rotation": 0.0}, ["augmentation"])}
    other = {"cnn": ({}, []), "weak": ({"augmentation.horizontal_flip": 0.0}, ["augmentation"])}
    match = matched(study(tmp_path / "a", variants=path), study(tmp_path / "b", variants=other))["effect/augmentation/test/accuracy"]
    assert (match.common, match.way) == (3, "seeds and images")


def test_every_kind_of_claim_is_matched_and_shares_have_intervals_from_their_limits(tmp_path: Path) -> None:
    found = matched(study(tmp_path / "a", seeds=4), study(tmp_path / "b", seeds=4, epochs=3, images=210))
    ways = {(match.first.kind, match.way) for match in found.values()}
    assert ways >= {
        ("effect", "independent"),
        ("calibration", "independent"),
        ("confusion", "limits"),
        ("optimism", "independent"),
        ("turned", "none"),
    }


def test_limits_without_an_error_are_squared_and_added() -> None:
    one, other = clopper_pearson(3, 4), clopper_pearson(0, 5)
    told = square_and_add(one, other)
    assert told.low == pytest.approx(0.75 - math.hypot(0.75 - one.low, other.high))
    assert math.isnan(told.p)


def test_the_order_of_factors_in_a_subject_does_not_keep_claims_apart(tmp_path: Path) -> None:
    results = study(tmp_path)
    claim = next(one for one in effect_claims(results) if one.subject == "augmentation+input_scaling")
    turned = replace(claim, subject="input_scaling+augmentation")
    assert set(by_place(results, [claim])) == set(by_place(results, [turned]))


def test_a_difference_is_surer_where_its_interval_is_narrower_than_that_of_a_part(tmp_path: Path) -> None:
    match = next(iter(matched(study(tmp_path / "a"), study(tmp_path / "b", epochs=3)).values()))
    narrow = Estimate(0.0, -0.1, 0.1, 3)
    assert replace(match, difference=narrow).is_surer
    assert not replace(match, difference=Estimate(0.0, -99.0, 99.0, 3)).is_surer
    assert not replace(match, difference=Estimate(0.0, math.nan, math.nan, 3)).is_surer
