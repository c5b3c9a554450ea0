"""Confusions as claims: rates with intervals over seeds and images, statements of readers, changes by variant."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ledger_fixture import Made, make_ledger
from numpy.typing import NDArray

from ferray.analysis import confusion_rates
from ferray.analysis.answers import Answers, answers
from ferray.analysis.confusion import confusion_info, pairs_info
from ferray.analysis.confusion_claims import TOO_FEW, changes_table, rate_claims, rates_table
from ferray.analysis.confusion_rates import (
    ALIKE,
    CROSSED,
    EXACT,
    FEW_SEEDS,
    certain,
    change_claims,
    changes,
    rates,
    share_interval,
    untested,
)
from ferray.analysis.crossed import crossed
from ferray.analysis.prose import confusion_sentences
from ferray.analysis.results import Results
from ferray.analysis.statements import Statement, _often, _rarely, _reason, class_called, statement_claims, statements_info
from ferray.analysis.statistics import clopper_pearson

ONE = {"cnn": ({}, [])}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_ledger(tmp_path_factory.mktemp("ledger"), seeds=4, images=1500, epochs=2)


def answer(tmp_path: Path, answered: dict[str, dict[str, float]], seeds: int = 4, images: int = 700) -> Results:
    """A ledger whose one network answers each class as planned (the rest rightly), each image and seed drawn on its own."""
    made = make_ledger(tmp_path, seeds=seeds, images=images, epochs=2, variants=ONE)
    results = Results.load(tmp_path, "report")
    labels, classes = results.labels("test"), results.classes
    assert labels is not None
    for seed in range(seeds):
        generator, predicted = np.random.default_rng(seed), labels.copy()
        for true, shares in answered.items():
            members = np.flatnonzero(labels == classes.index(true))
            others = [classes.index(name) for name in shares]
            rest = [classes.index(true)]
            p = [*shares.values(), 1 - sum(shares.values())]
            predicted[members] = generator.choice(others + rest, len(members), p=p)
        file = tmp_path / "trials" / made.keys["cnn", 0, seed] / "predictions.npz"
        np.savez(file, allow_pickle=False, **{**dict(np.load(file)), "test_selected": np.eye(7, dtype=np.float32)[predicted]})
    return Results.load(tmp_path, "report")


def test_every_ordered_pair_has_its_share_of_the_true_class(results: Results) -> None:
    confusion = confusion_info(results)
    assert confusion is not None
    assert len(confusion.rates) == 42
    for one in confusion.rates:
        i, j = confusion.classes.index(one.true), confusion.classes.index(one.predicted)
        assert one.count == confusion.counts[i, j]
        assert one.share.mean == pytest.approx(confusion.shares[i, j])
        assert 0 <= one.share.low <= one.share.mean <= one.share.high <= 100
        assert one.method == (CROSSED if one.count >= 10 * 4 else EXACT)
    order = [(not one.has_images, -one.share.mean) for one in confusion.rates]
    assert order == sorted(order)


def test_a_pair_that_never_occurs_is_as_uncertain_as_its_images_are_few() -> None:
    never, _ = share_interval(crossed(np.zeros((5, 60))))
    exact = clopper_pearson(0, 60)
    assert (never.low, never.high) == (0, exact.high)  # not a point, and the images are counted once
    once: NDArray[np.float64] = np.zeros((5, 60))
    once[0, 0] = 1
    rare, method = share_interval(crossed(once))
    assert method == EXACT
    assert 0 < rare.low < 1 / 300 < exact.high < rare.high


def test_one_seed_has_the_exact_interval_over_images() -> None:
    own = Answers("v", "test", (0,), ("key",), np.eye(2, dtype=np.float32)[[[0, 0, 0, 1, 1]]], np.array([0, 0, 0, 0, 1]))
    (first, second) = rates(own, ("a", "b"))
    assert (first.true, first.count, first.images, first.method) == ("a", 1, 4, FEW_SEEDS)
    assert (first.share.low, first.share.high) == pytest.approx((100 * clopper_pearson(1, 4).low, 100 * clopper_pearson(1, 4).high))
    assert (second.true, second.count) == ("b", 0)


@pytest.mark.parametrize("truth", [0.01, 0.05, 0.2])
def test_the_interval_of_a_rate_covers_other_trainings_and_other_images(truth: float) -> None:
    generator, covered = np.random.default_rng(3), 0
    for _ in range(300):  # logits with a part of the image's, of the training's, and of chance
        logits = generator.normal(0, 1, (1, 120)) + generator.normal(0, 0.3, (4, 1)) + generator.normal(0, 1, (4, 120))
        line = -np.sqrt(2.09) * 2.3263 if truth == 0.01 else -np.sqrt(2.09) * (1.6449 if truth == 0.05 else 0.8416)
        told, _ = share_interval(crossed((logits < line).astype(float)))
        covered += told.low <= truth <= told.high
    assert covered / 300 >= 0.925


@pytest.mark.parametrize("redrawn", [None, 0.2])
def test_a_share_that_all_seeds_have_alike_is_as_uncertain_as_its_images_are_few(redrawn: float | None) -> None:
    """Each of four seeds takes ten of 40 images for another class, and none of those of another seed."""
    taken = np.eye(4).repeat(10, axis=1)
    told, method = share_interval(crossed(taken, redrawn=redrawn))
    assert (told.low, told.high) == pytest.approx((clopper_pearson(10, 40).low, clopper_pearson(10, 40).high))
    assert method == ALIKE


def test_a_rival_of_which_no_spread_is_known_hides_no_other_that_is_surely_ahead() -> None:
    """Of answers to images that seeds drew, neutral has one more than sad on every seed, and happy eighty more or so."""
    labels = np.zeros(200, dtype=np.int64)
    rows = np.array([[1] * 20 + [2] * 21 + [3] * n + [0] * (159 - n) for n in (100, 104, 108)])
    own = Answers("cnn", "validation", (0, 1, 2), ("a", "b", "c"), np.eye(4, dtype=np.float32)[rows], labels, redrawn=0.2)
    found = _often(own, ("fear", "sad", "neutral", "happy"), 0, 1)
    assert found is not None
    assert (found.rival, found.supports) == ("happy", False)
    assert found.p < 0.01


def test_of_so_few_wrong_answers_that_an_even_spread_may_leave_one_out_nothing_is_said() -> None:
    """Wrong answers are spread evenly, twelve or so of 400; without them a class is told as rare in a tenth of the studies."""
    generator, classes, supported = np.random.default_rng(0), tuple("abcdefg"), 0
    for _ in range(200):
        labels = generator.integers(2, 7, 400)
        wrong = generator.integers(0, 6, 400)
        answered = np.where(generator.random(400) < 0.03, wrong + (wrong >= labels), labels)
        own = Answers("v", "test", (0, 1, 2), ("a", "b", "c"), np.eye(7, dtype=np.float32)[np.stack([answered] * 3)], labels)
        found = _rarely(own, classes, 0, 1)
        assert found is not None
        supported += not _reason(found) and found.supports and found.p < 0.0125  # as the first of four by Holm
    assert supported <= 5


def test_a_claim_of_a_rate_has_all_it_rests_on(results: Results) -> None:
    confusion = confusion_info(results)
    assert confusion is not None
    claims = rate_claims(confusion, {"planned": 4, "finished": 4})
    assert len(claims) == len({claim.name for claim in claims}) == 42
    first = claims[0]
    assert first.unit == "share"
    assert first.estimates["both"].mean == pytest.approx(confusion.rates[0].share.mean / 100)
    assert first.keys == confusion.keys
    assert first.counts["taken"] == confusion.rates[0].count
    table = rates_table(confusion)
    assert len(table.rows) == 42


def test_names_of_classes_are_matched_by_case_and_synonym() -> None:
    classes = ("Angry", "disgusted", "Fear ", "joy", "sadness", "surprise", "neutral")
    assert [class_called(name, classes) for name in ("anger", "disgust", "afraid", "happy", "SAD", "surprised")] == [0, 1, 2, 3, 4, 5]
    assert class_called("contempt", classes) is None
    assert class_called("sad", ("sad", "sadness")) is None
    assert class_called("Cat", ("dog", "CAT")) == 1


def test_planted_confusions_support_and_contradict_the_statements_of_readers(tmp_path: Path) -> None:
    answered = {
        "sad": {"neutral": 0.3, "fear": 0.1},
        "surprise": {"fear": 0.05, "happy": 0.3},
        "disgust": {"angry": 0.8},
        "angry": {"disgust": 0.2, "sad": 0.01},
        "happy": {"neutral": 0.2, "sad": 0.01},
    }
    info = statements_info(answer(tmp_path, answered))
    assert info is not None
    told = {one.statement.words: one for one in info.tested}
    assert {words: one.answer for words, one in told.items()} == {
        "Sad is often taken for neutral": "supported",
        "Sad is otherwise rarely the wrong answer for other faces": "supported",
        "Surprise is often taken for fear": "contradicted",
        "Disgust is taken for anger": "supported",
    }
    assert (told["Sad is often taken for neutral"].rival, told["Surprise is often taken for fear"].rival) == ("fear", "happy")
    sad = told["Sad is often taken for neutral"]
    assert sad.rate.low < 30 < sad.rate.high
    assert sad.difference.both.low < 20 < sad.difference.both.high
    claims = {claim.name: claim for claim in statement_claims(info)}
    claim = claims["statement/cnn/test/Surprise is often taken for fear"]
    assert claim.details["answer"] == "contradicted"
    assert "behind happy, so not as the most frequent wrong answer" in claim.sentence


def test_a_statement_is_open_where_answers_are_few_even_or_of_two_seeds(tmp_path: Path) -> None:
    even = {"sad": {"neutral": 0.2, "fear": 0.2}, "surprise": {"fear": 0.02}}
    info = statements_info(answer(tmp_path / "even", even))
    assert info is not None
    told = {one.statement.words: one for one in info.tested}
    assert told["Sad is often taken for neutral"].answer == "open"
    assert told["Surprise is often taken for fear"].answer == "open"
    assert "fewer than 10 images" in told["Surprise is often taken for fear"].reason
    two = statements_info(answer(tmp_path / "two", {"sad": {"neutral": 0.5}}, seeds=2))
    assert two is not None
    assert {one.answer for one in two.tested} == {"open"}


def test_statements_of_ones_own_are_tested_and_unknown_classes_left_out(results: Results) -> None:
    own = [Statement("Anger is taken for sadness", "often taken for", "anger", "sadness"), Statement("?", "often taken for", "cat", "dog")]
    info = statements_info(results, own)
    assert info is not None
    assert [(one.true, one.other) for one in info.tested] == [("angry", "sad")]
    assert statements_info(results, own[1:]) is None


def test_changes_are_those_of_the_paired_counts_and_certain_after_holm(results: Results) -> None:
    found = changes(results)
    assert {one.variant for one in found} == set(results.variants) - {"cnn"}
    base, other = confusion_info(results, "cnn"), confusion_info(results, "dnn")
    assert base is not None
    assert other is not None
    for one in found:
        if one.variant == "dnn":
            i, j = results.classes.index(one.true), results.classes.index(one.predicted)
            assert one.difference.both.mean == pytest.approx(other.shares[i, j] - base.shares[i, j])
            assert base.counts[i, j] + other.counts[i, j] >= 2 * 10 * 4
    assert [one.p_adjusted for one in found] == sorted(one.p_adjusted for one in found)
    assert all(one.p_adjusted < 0.05 for one in certain(found))
    told = change_claims(found, "test", "private test", "cnn")
    assert len(told) == len(certain(found)) > 0
    assert len(changes_table(found, "cnn", "private test").rows) == len(found)
    free = next(claim for claim in told if claim.subject == "dnn")
    change = next(one for one in certain(found) if one.variant == "dnn")
    assert free.estimates["both"].mean == pytest.approx(-change.difference.both.mean)  # rarer is better


def test_changes_without_a_p_value_come_last(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    first = changes(results)[0]
    made = [replace(first, p_adjusted=p) for p in (0.5, np.nan, 0.001, np.nan, 0.2)]
    monkeypatch.setattr(confusion_rates, "_changes", lambda *_: made)
    told = [one.p_adjusted for one in changes(results)]
    assert told == pytest.approx(sorted(told, key=lambda p: (np.isnan(p), p)), nan_ok=True)


def test_no_change_is_certain_where_variants_are_alike(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, seeds=4, images=400, epochs=2, variants={"cnn": ({}, []), "again": ({"width": 0.5}, [])})
    for seed in range(4):
        here, there = (tmp_path / "trials" / made.keys[name, 0, seed] / "predictions.npz" for name in ("cnn", "again"))
        there.write_bytes(here.read_bytes())
    assert certain(changes(Results.load(tmp_path, "report"))) == []


def give(made: Made, variant: str, seed: int, predicted: NDArray[np.int64]) -> None:
    file = made.path / "trials" / made.keys[variant, 0, seed] / "predictions.npz"
    np.savez(file, allow_pickle=False, **{**dict(np.load(file)), "test_selected": np.eye(7, dtype=np.float32)[predicted]})


def test_networks_of_nearly_one_answer_leave_statements_open_and_changes_untested(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, seeds=4, images=600, epochs=2, variants={"cnn": ({}, []), "dnn": ({"model": "dnn"}, [])})
    assert {one.variant for one in changes(Results.load(tmp_path, "report"))} == {"dnn"}
    labels = Results.load(tmp_path, "report").labels("test")
    assert labels is not None
    for seed in (1, 3):
        give(made, "dnn", seed, np.where(np.arange(600) % 20 == 0, labels, 6))  # neutral, but for one image of twenty
    results = Results.load(tmp_path, "report")
    words = "2 of 4 trainings of dnn (seeds 1 and 3) answer 'neutral' for nearly every image of the private test set"
    info = statements_info(results, variant="dnn")
    assert info is not None
    assert {one.answer for one in info.tested} == {"open"}
    for claim in statement_claims(info):
        assert f"open, since {words}" in claim.sentence
        assert np.isnan(claim.p_adjusted)
        assert words in claim.caveats[0]
    assert changes(results) == []
    assert untested(results) == [f"Changes of dnn are not tested: {words}."]
    confusion = confusion_info(results, "dnn")
    assert confusion is not None
    assert pairs_info(confusion).largest == ()
    assert any(sentence.startswith(words) for sentence in confusion_sentences(confusion, pairs_info(confusion)))
    assert all(words in claim.caveats and words in claim.sentence for claim in rate_claims(confusion, {}))


def test_classes_of_too_few_images_are_not_told_first_and_equal_ones_are_all_named(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, seeds=3, images=400, epochs=2, variants=ONE)
    labels = Results.load(tmp_path, "report").labels("test")
    assert labels is not None
    assert (labels == 1).sum() < 20
    answered = np.select([labels == 1, labels == 4, labels == 5], [0, 6, 2], labels)  # disgust, sad and surprise are never recognized
    for seed in range(3):
        give(made, "cnn", seed, answered)
    confusion = confusion_info(Results.load(tmp_path, "report"))
    assert confusion is not None
    pairs = pairs_info(confusion)
    assert [(one.true, one.predicted, one.share.mean) for one in pairs.pairs] == [
        ("sad", "neutral", 100), ("surprise", "fear", 100), ("disgust", "angry", 100),
    ]  # fmt: skip
    assert [one.true for one in pairs.largest] == ["sad", "surprise"]
    n = {name: f"n = {confusion.images[name]} images" for name in confusion.classes}
    told = confusion_sentences(confusion, pairs)
    assert any(f"and worst sad (0.0 % of {n['sad']}) and surprise (0.0 % of {n['surprise']})." in sentence for sentence in told)
    few = confusion.images["disgust"]
    assert told[-1] == f"There are too few images, fewer than 20, to say anything of disgust ({few} images)."
    claims = {claim.name: claim for claim in rate_claims(confusion, {})}
    assert claims["confusion/cnn/test/disgust taken for angry"].caveats == (TOO_FEW,)
    assert claims["confusion/cnn/test/sad taken for neutral"].caveats == ()
    info = statements_info(Results.load(tmp_path, "report"))
    assert info is not None
    disgust = next(one for one in info.tested if one.true == "disgust")
    assert (disgust.answer, disgust.reason) == ("open", "there are too few images, fewer than 20")


def twice(own: Answers, *, told: bool) -> Answers:
    """Every image stands twice; ``told`` is whether that is known."""
    groups = np.tile(np.arange(own.labels.size), 2) if told else None
    return replace(own, probabilities=np.concatenate([own.probabilities] * 2, axis=1), labels=np.tile(own.labels, 2), groups=groups)


def test_an_image_that_stands_twice_makes_no_rate_surer(results: Results) -> None:
    once = answers(results, "cnn", "test")
    assert once is not None
    single, doubled, blind = (rates(one, results.classes) for one in (once, twice(once, told=True), twice(once, told=False)))
    for one, two, unaware in zip(single, doubled, blind, strict=True):
        assert (one.true, one.predicted, one.method) == (two.true, two.predicted, two.method)
        assert (two.share.low, two.share.high) == pytest.approx((one.share.low, one.share.high))
        assert (two.over_images.low, two.over_images.high) == pytest.approx((one.over_images.low, one.over_images.high))
        assert (two.images, two.groups, unaware.groups) == (2 * one.images, one.images, 2 * one.images)
    widths = [sum(one.share.high - one.share.low for one in found) for found in (single, blind)]
    assert widths[1] < 0.95 * widths[0]


def test_statements_and_changes_know_images_that_stand_twice(made: Made, tmp_path: Path) -> None:
    shutil.copytree(made.path, tmp_path, dirs_exist_ok=True)
    (evaluation,) = (tmp_path / "data").glob("*/evaluation.npz")
    arrays = dict(np.load(evaluation))
    for name in ("test_images", "test_labels"):
        arrays[name][750:] = arrays[name][:750]
    np.savez(evaluation, allow_pickle=False, **arrays)
    for key in made.keys.values():
        file = tmp_path / "trials" / key / "predictions.npz"
        told = dict(np.load(file))
        told["test_selected"][750:] = told["test_selected"][:750]
        np.savez(file, allow_pickle=False, **told)
    doubled = Results.load(tmp_path, "report")
    info = statements_info(doubled)
    assert info is not None
    assert all(one.groups == one.images / 2 for one in info.tested)
    for one, claim in zip(info.tested, statement_claims(info), strict=True):
        assert f"in {one.groups} groups of near-identical ones" in claim.sentence
    found = changes(doubled)
    assert found
    assert all(one.difference.n_groups == one.difference.n_images / 2 >= 20 for one in found)
    for one in found:  # every pair is of ten images or more, each counted once
        assert one.difference.n_groups == sum(doubled.labels("test")[:750] == doubled.classes.index(one.true))  # type: ignore[index]


def test_differences_of_rates_are_cut_to_what_they_can_be(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, seeds=3, images=400, epochs=2, variants={"cnn": ({}, []), "dnn": ({"model": "dnn"}, [])})
    labels = Results.load(tmp_path, "report").labels("test")
    assert labels is not None
    for seed, answer_of_sad in enumerate((6, 6, 2)):
        give(made, "dnn", seed, np.where(labels == 4, answer_of_sad, labels))
        give(made, "cnn", seed, labels)
    results = Results.load(tmp_path, "report")
    change = next(one for one in changes(results) if (one.true, one.predicted) == ("sad", "neutral"))
    assert change.difference.both.mean == pytest.approx(200 / 3)
    assert change.difference.both.high == change.difference.seeds.high == 100
    info = statements_info(results, variant="dnn")
    assert info is not None
    (claim,) = [one for one in statement_claims(info) if "taken for neutral" in one.name]
    assert -100 <= claim.estimates["both"].low < claim.estimates["both"].high == 100
    assert "cut to what is possible" in claim.methods["both"]
