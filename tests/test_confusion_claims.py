"""Confusions as claims: rates with intervals over seeds and images, statements of readers, changes by variant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ledger_fixture import Made, make_ledger
from numpy.typing import NDArray

from ferray.analysis.answers import Answers
from ferray.analysis.confusion import confusion_info
from ferray.analysis.confusion_claims import changes_table, rate_claims, rates_table
from ferray.analysis.confusion_rates import CROSSED, EXACT, ONE_SEED, certain, change_claims, changes, rates, share_interval
from ferray.analysis.crossed import crossed
from ferray.analysis.results import Results
from ferray.analysis.statements import Statement, class_called, statement_claims, statements_info
from ferray.analysis.statistics import clopper_pearson

ONE = {"cnn": ({}, [])}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_ledger(tmp_path_factory.mktemp("ledger"), seeds=4, images=1500, epochs=2)


@pytest.fixture(scope="module")
def results(made: Made) -> Results:
    return Results.load(made.path, "report")


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
    shares = [one.share.mean for one in confusion.rates]
    assert shares == sorted(shares, reverse=True)


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
    assert (first.true, first.count, first.images, first.method) == ("a", 1, 4, ONE_SEED)
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


def test_no_change_is_certain_where_variants_are_alike(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, seeds=4, images=400, epochs=2, variants={"cnn": ({}, []), "again": ({"width": 0.5}, [])})
    for seed in range(4):
        here, there = (tmp_path / "trials" / made.keys[name, 0, seed] / "predictions.npz" for name in ("cnn", "again"))
        there.write_bytes(here.read_bytes())
    assert certain(changes(Results.load(tmp_path, "report"))) == []
