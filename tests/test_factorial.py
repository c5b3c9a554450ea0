from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from ledger_fixture import make_ledger
from matplotlib.text import Text
from numpy.typing import NDArray
from scipy import stats

from ferray.analysis.claims import as_json
from ferray.analysis.factorial import (
    FactorialInfo,
    alias_sets,
    factorial_info,
    interaction_weights,
    is_balanced,
    main_weights,
    shapley_weights,
)
from ferray.analysis.factorial_claims import factorial_claims
from ferray.analysis.factorial_figures import LARGEST_MAP, MapInfo, draw_alias_sets, draw_effects, draw_map, draw_pairs, map_info, strongest
from ferray.analysis.factorial_section import design_sentences, interactions
from ferray.analysis.page import Page
from ferray.analysis.results import Results
from ferray.analysis.sections import compose
from ferray.analysis.statistics import Estimate

REMOVALS: dict[str, dict[str, Any]] = {
    "augmentation": {"augmentation.rotation": 0.0, "augmentation.horizontal_flip": 0.0},
    "batch_norm": {"batch_norm": False},
    "input_scaling": {"input_normalization": "none"},
    "dropout": {"dropout": 0.125},
}
THREE = ("augmentation", "batch_norm", "input_scaling")
Variants = dict[str, tuple[dict[str, Any], list[str]]]


def whole(factors: int) -> NDArray[np.bool_]:
    """All settings [2^k, k], the one with all factors first."""
    return np.array(list(itertools.product([True, False], repeat=factors)))


def half() -> NDArray[np.bool_]:
    """The half of a 2^4 design in which the product of all four signs is +1: resolution IV."""
    given = whole(4)
    return given[np.where(given, 1, -1).prod(axis=1) == 1]


def variants_of(removed: list[tuple[str, ...]]) -> Variants:
    made: Variants = {}
    for gone in removed:
        overrides = {name: value for factor in gone for name, value in REMOVALS[factor].items()}
        made["no-" + "-".join(gone) if gone else "all"] = (overrides, list(gone))
    return made


def planted(variant: str, _: int) -> float:
    """Augmentation and batch norm are each worth much, and much more together; input scaling is worth nothing."""
    return 0.65 - 0.2 * ("augmentation" in variant or "batch_norm" in variant)


def factorial_ledger(path: Path, factors: Sequence[str] = THREE, **given: Any) -> Results:
    removed = [gone for size in range(len(factors) + 1) for gone in itertools.combinations(factors, size)]
    settings = {"seeds": 4, "images": 900, "epochs": 2, "shape": (1, 8, 8), "quality_of": planted, **given}
    document = {"ablation": {"design": "factorial", "factors": list(factors)}}
    make_ledger(path, variants=variants_of(removed), document=document, **settings)
    return Results.load(path, "report")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return factorial_ledger(tmp_path_factory.mktemp("factorial"))


@pytest.fixture(scope="module")
def fraction(tmp_path_factory: pytest.TempPathFactory) -> Results:
    factors = list(REMOVALS)
    removed = [tuple(factor for factor, there in zip(factors, row, strict=True) if not there) for row in half().tolist()]
    path = tmp_path_factory.mktemp("fraction")
    aliases = {"augmentation": ["batch_norm:input_scaling:dropout"], "augmentation:batch_norm": ["input_scaling:dropout"]}
    ablation = {"design": "fractional", "factors": factors, "resolution": 4, "aliases": aliases}
    make_ledger(path, variants=variants_of(removed), seeds=3, epochs=2, shape=(1, 8, 8), document={"ablation": ablation})
    return Results.load(path, "report")


def info_of(results: Results) -> FactorialInfo:
    info = factorial_info(results)
    assert info is not None
    return info


@pytest.mark.parametrize("factors", [1, 2, 3, 4])
def test_effects_are_those_of_a_regression_on_signs(factors: int) -> None:
    present = whole(factors)
    generator = np.random.default_rng(factors)
    y = generator.normal(size=(len(present), 5))
    pairs = list(itertools.combinations(range(factors), 2))
    signs = np.where(present, 1.0, -1.0)
    design = np.column_stack([np.ones(len(present)), signs, *(signs[:, a] * signs[:, b] for a, b in pairs)])
    fitted = sm.OLS(y.ravel(), np.repeat(design, 5, axis=0)).fit()
    assert main_weights(present) @ y.mean(axis=1) == pytest.approx(2 * fitted.params[1 : factors + 1])
    assert interaction_weights(present, pairs) @ y.mean(axis=1) == pytest.approx(4 * fitted.params[factors + 1 :])


def test_an_interaction_is_the_difference_of_what_a_factor_adds_with_and_without_the_other() -> None:
    present = whole(3)
    y = np.random.default_rng(0).normal(size=8)
    (weights,) = interaction_weights(present, [(0, 2)])

    def adds(where: bool) -> float:
        chosen = present[:, 2] == where
        return float(y[chosen & present[:, 0]].mean() - y[chosen & ~present[:, 0]].mean())

    assert weights @ y == pytest.approx(adds(True) - adds(False))


def by_permutations(value: dict[tuple[bool, ...], float], factors: int) -> list[float]:
    """What each factor adds when it comes, averaged over every order of coming."""
    total = [0.0] * factors
    for order in itertools.permutations(range(factors)):
        there = [False] * factors
        for factor in order:
            before = value[tuple(there)]
            there[factor] = True
            total[factor] += value[tuple(there)] - before
    return [one / math.factorial(factors) for one in total]


@pytest.mark.parametrize("factors", [1, 2, 3, 5])
def test_shapley_effects_are_the_average_over_all_orders_and_sum_to_what_all_factors_add(factors: int) -> None:
    present = whole(factors)
    y = np.random.default_rng(factors).normal(size=len(present))
    value = dict(zip(map(tuple, present.tolist()), y.tolist(), strict=True))
    found = shapley_weights(present) @ y
    assert found == pytest.approx(by_permutations(value, factors))
    assert found.sum() == pytest.approx(value[(True,) * factors] - value[(False,) * factors])


def test_shapley_effects_of_factors_that_do_the_same_are_equal_and_of_one_that_does_nothing_zero() -> None:
    present = whole(4)
    y = 3.0 * (present[:, 0] & present[:, 2]) + 1.5 * present[:, 3]
    found = shapley_weights(present) @ y
    assert found == pytest.approx([1.5, 0.0, 1.5, 1.5])


def test_the_order_of_the_variants_does_not_matter() -> None:
    order = np.random.default_rng(1).permutation(8)
    assert shapley_weights(whole(3)[order]) == pytest.approx(shapley_weights(whole(3))[:, order])


def test_shapley_effects_need_all_combinations() -> None:
    with pytest.raises(ValueError, match="need all 16 variants"):
        shapley_weights(half())
    with pytest.raises(ValueError, match="each once"):
        shapley_weights(np.array([[True], [True]]))


def test_where_effects_add_up_there_are_no_interactions_and_shapley_effects_are_main_effects() -> None:
    present = whole(4)
    y = present @ np.array([2.0, -1.0, 0.5, 0.0]) + 60
    assert interaction_weights(present, list(itertools.combinations(range(4), 2))) @ y == pytest.approx(np.zeros(6), abs=1e-12)
    assert main_weights(present) @ y == pytest.approx([2.0, -1.0, 0.5, 0.0])
    assert shapley_weights(present) @ y == pytest.approx([2.0, -1.0, 0.5, 0.0])


def test_a_whole_design_and_a_regular_fraction_are_balanced_and_a_path_is_not() -> None:
    assert is_balanced(whole(3))
    assert is_balanced(half())
    assert not is_balanced(whole(3)[:-1])
    assert not is_balanced(np.array([[True, True], [False, True], [False, False]]))


def test_a_fraction_of_resolution_iv_has_its_pairs_in_sets_of_two() -> None:
    assert alias_sets(half()) == [((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))]
    assert alias_sets(whole(3)) == [((0, 1),), ((0, 2),), ((1, 2),)]


def test_pairs_that_are_a_main_effect_in_a_fraction_are_no_interactions() -> None:
    given = whole(3)
    quarter = given[np.where(given, 1, -1).prod(axis=1) == 1]  # resolution III
    assert is_balanced(quarter)
    assert alias_sets(quarter) == []


def test_planted_effects_and_their_interaction_are_found_with_their_signs(results: Results) -> None:
    info = info_of(results)
    main = {one.name: one for one in info.main}
    pairs = {one.name: one for one in info.interactions}
    assert [main[name].decision.verdict for name in THREE[:2]] == ["helps", "helps"]  # type: ignore[union-attr]
    assert pairs["augmentation:batch_norm"].decision.verdict == "helps"  # type: ignore[union-attr]
    for name in ("augmentation:input_scaling", "batch_norm:input_scaling"):
        assert pairs[name].crossed.both.low < 0 < pairs[name].crossed.both.high
    assert info.total is not None
    assert sum(one.crossed.both.mean for one in info.shapley) == pytest.approx(info.total.both.mean)
    assert info.total.points == pytest.approx(info.accuracy[0] - info.accuracy[-1])


def test_the_interval_over_seeds_is_that_of_a_t_test_of_each_seeds_own_effect(results: Results) -> None:
    info = info_of(results)
    accuracy = 100 * results.trials.pivot(index="variant", columns="seed", values="test_accuracy")
    with_it = [name for name, variant in results.variants.items() if "batch_norm" not in variant.removed]
    by_seed = (accuracy.loc[with_it].mean() - accuracy.drop(with_it).mean()).to_numpy(float)
    tested = stats.ttest_1samp(by_seed, 0)
    seeds = info.main[1].crossed.seeds
    assert info.main[1].crossed.points == pytest.approx(by_seed)
    assert (seeds.mean, seeds.p) == pytest.approx((by_seed.mean(), tested.pvalue))
    assert (seeds.low, seeds.high) == pytest.approx(tuple(tested.confidence_interval()))


def test_cells_average_over_the_other_factors(results: Results) -> None:
    info = info_of(results)
    cells = info.cells("augmentation", "input_scaling")
    difference = cells[1, 1] - cells[0, 1] - cells[1, 0] + cells[0, 0]
    own = next(one for one in info.interactions if one.factors == ("augmentation", "input_scaling"))
    assert difference == pytest.approx(own.crossed.points)


def test_only_seeds_that_finished_every_variant_count_and_the_others_are_told(tmp_path: Path) -> None:
    outcome = {("no-augmentation", 1): "diverged", ("no-batch_norm", 1): "failed", ("all", 3): "missing"}
    results = factorial_ledger(tmp_path, outcome=outcome, seeds=5, images=160)
    info = info_of(results)
    assert info.seeds == (0, 2, 4)
    assert len(info.keys) == 3 * 8
    claim = factorial_claims(results)[0]
    assert claim.counts == {
        "planned": 5,
        "paired": 3,
        "diverged": 1,
        "failed": 1,
        "missing": 1,
        "images": 160,
        "image_groups": info.image_groups,
    }
    told = design_sentences(info)[-1]
    assert told in claim.caveats
    assert told.startswith("2 seeds of 5 are left out")
    assert "no-augmentation seed 1 (diverged)" in told


def test_without_a_seed_that_finished_every_variant_there_are_no_effects(tmp_path: Path) -> None:
    results = factorial_ledger(tmp_path, outcome={("all", seed): "running" for seed in range(2)}, seeds=2, images=40)
    page = Page()
    assert interactions(page, results) == []
    assert "No seed has finished all of them yet" in page.sections[0].blocks[0].text


def test_two_seeds_have_no_verdict_and_one_has_an_interval_over_images_alone(tmp_path: Path) -> None:
    two = factorial_claims(factorial_ledger(tmp_path / "two", seeds=2, images=60))
    assert {claim.verdict for claim in two} == {None}
    assert all("too few for a verdict" in claim.caveats[-1] for claim in two)
    one = factorial_claims(factorial_ledger(tmp_path / "one", seeds=1, images=60))
    assert all("] (over images) of accuracy on the" in claim.sentence for claim in one)
    assert not one[0].estimates["both"].has_interval


def test_verdicts_are_given_on_the_split_that_is_told_first_and_every_claim_is_named_once(results: Results) -> None:
    claims = factorial_claims(results)
    assert len({claim.name for claim in claims}) == len(claims) == 2 * (3 + 3 + 3 + 1)
    judged = [claim for claim in claims if claim.verdict is not None]
    assert {claim.split for claim in judged} == {"test"}
    assert {claim.kind for claim in judged} == {"main_effect", "interaction"}
    assert {claim.margin for claim in judged} == {0.5}
    json.dumps(as_json("report", claims), allow_nan=False)


def test_what_the_shapley_effects_sum_to_is_a_claim_in_the_direction_of_the_factors(results: Results) -> None:
    claims = [claim for claim in factorial_claims(results) if claim.split == "test"]
    (together,) = [claim for claim in claims if claim.kind == "together"]
    parts = [claim.estimates["both"].mean for claim in claims if claim.kind == "shapley"]
    assert together.estimates["both"].mean == pytest.approx(sum(parts))
    assert together.estimates["both"].mean > 0
    assert together.verdict is None


def test_the_summary_tells_main_effects_and_decided_interactions_instead_of_single_variants(results: Results) -> None:
    _, claims, context = compose(results)
    summary = " ".join(context["summary"])
    for claim in claims:
        if claim.kind == "main_effect" and claim.split == "test":
            assert claim.sentence in summary
        assert claim.kind != "difference" or claim.sentence not in summary
    assert "help one another" in summary


def test_interactions_read_as_factors_that_help_one_another(results: Results) -> None:
    claim = next(one for one in factorial_claims(results) if one.name == "interaction/augmentation:batch_norm/test/accuracy")
    assert claim.verdict == "helps"
    assert claim.sentence.startswith("Augmentation and batch norm help one another: +")
    assert claim.sentence.endswith("(Holm), 4 seeds x 900 images.")


def test_a_fraction_tells_what_each_effect_cannot_be_told_from_and_has_no_shapley_effects(fraction: Results) -> None:
    info = info_of(fraction)
    assert info.main[0].aliases == ("batch_norm:input_scaling:dropout",)
    assert [one.name for one in info.interactions] == ["augmentation:batch_norm", "augmentation:input_scaling", "augmentation:dropout"]
    assert info.interactions[0].aliases == ("input_scaling:dropout",)
    assert (info.shapley, info.total) == ((), None)
    assert "a regular fraction of resolution IV" in design_sentences(info)[0]
    claim = factorial_claims(fraction)[0]
    assert "cannot be told from batch norm \N{MULTIPLICATION SIGN} input scaling \N{MULTIPLICATION SIGN} dropout" in claim.sentence
    labels = {text.get_text() for text in draw_alias_sets(info).findobj(Text) if isinstance(text, Text)}
    assert "augmentation \N{MULTIPLICATION SIGN} batch norm\n= input scaling \N{MULTIPLICATION SIGN} dropout" in labels


def test_a_group_of_factors_is_one_factor_and_free_variants_take_no_part(tmp_path: Path) -> None:
    group = {**REMOVALS["augmentation"], **REMOVALS["batch_norm"]}
    variants: Variants = {
        "all": ({}, []),
        "dnn": ({"model": "dnn"}, []),
        "no-group": (group, ["augmentation+batch_norm"]),
        "no-scaling": (REMOVALS["input_scaling"], ["input_scaling"]),
        "none": ({**group, **REMOVALS["input_scaling"]}, ["augmentation+batch_norm", "input_scaling"]),
    }
    ablation = {"design": "factorial", "factors": ["augmentation+batch_norm", "input_scaling"]}
    make_ledger(tmp_path, variants=variants, seeds=3, epochs=2, shape=(1, 8, 8), images=60, document={"ablation": ablation})
    info = info_of(Results.load(tmp_path, "report"))
    assert info.present.tolist() == [[True, True], [False, True], [True, False], [False, False]]


def test_other_designs_have_no_section(tmp_path: Path) -> None:
    ablation = {"design": "path", "factors": ["augmentation", "input_scaling", "batch_norm"]}
    make_ledger(tmp_path, seeds=1, epochs=2, images=40, shape=(1, 8, 8), document={"ablation": ablation})
    results, page = Results.load(tmp_path, "report"), Page()
    assert interactions(page, results) == []
    assert page.sections == []


def test_the_section_has_its_figures_and_table(results: Results, fraction: Results) -> None:
    page = Page()
    assert as_json("report", interactions(page, results)) == as_json("report", factorial_claims(results))
    assert [drawing.name for drawing in page.drawings] == ["factorial_effects", "interactions", "interaction_plots"]
    (table,) = page.tables
    assert len(table.rows) == 9
    assert any(row[-1] == "help one another" for row in table.rows)
    other = Page()
    interactions(other, fraction)
    assert [drawing.name for drawing in other.drawings] == ["factorial_effects", "alias_sets"]


def test_the_map_has_main_effects_on_its_diagonal_and_each_interaction_once(results: Results) -> None:
    info = info_of(results)
    drawn = map_info(info)
    assert np.diag(drawn.values) == pytest.approx([one.crossed.both.mean for one in info.main])
    assert np.isnan(drawn.values[np.triu_indices(3, 1)]).all()
    assert {(0, 0), (1, 0), (1, 1)} <= drawn.decided
    assert drawn.limit == np.nanmax(np.abs(drawn.values))
    assert strongest(info)[0].name == "augmentation:batch_norm"
    assert draw_effects(info).axes
    assert len(draw_pairs(info, strongest(info)).axes) == 3


def test_a_large_map_has_estimates_without_intervals() -> None:
    size = LARGEST_MAP
    cells = {(row, column): Estimate(row - column, row - 1.0, row + 1.0, 5) for row in range(size) for column in range(row + 1)}
    values = np.full((size, size), np.nan)
    for cell, estimate in cells.items():
        values[cell] = estimate.mean
    figure = draw_map(MapInfo(tuple(f"factor_{n}" for n in range(size)), values, cells, frozenset(), 11.0, 0, "test", synthetic=False))
    told = [text.get_text() for text in figure.axes[0].texts]
    assert len(told) == len(cells)
    assert not any(" to " in text for text in told)
