"""Galleries: images that all trainings get wrong, and those that a component sets right or wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ledger_fixture import Made, make_ledger
from matplotlib.text import Text

from ferray.analysis.galleries import ROWS
from ferray.analysis.hard_images import hard_info, hard_sentence
from ferray.analysis.pictures import COLUMNS, draw_gallery
from ferray.analysis.results import Results
from ferray.analysis.style import SYNTHETIC_NOTE
from ferray.analysis.turned_images import turned_claims, turned_info, turned_sentence, turned_table


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_ledger(tmp_path_factory.mktemp("ledger"), seeds=3, images=300, outcome={("no augmentation", 2): "diverged"})


def predicted(results: Results, made: Made, variant: str) -> np.ndarray:
    tables = [results.probabilities(made.keys[variant, 0, seed], "test") for seed in range(3)]
    return np.stack([table.argmax(axis=1) for table in tables if table is not None])


def test_hard_images_are_those_that_every_training_gets_wrong(results: Results, made: Made) -> None:
    info, labels = hard_info(results, "dnn"), results.labels("test")
    assert info is not None
    assert labels is not None
    answers = predicted(results, made, "dnn")
    wrong = np.flatnonzero((answers != labels).all(axis=0))
    agreed = [one for one in wrong if len(set(answers[:, one])) == 1]
    assert (info.n, info.agreed, info.images, info.seeds) == (len(wrong), len(agreed), 300, 3)
    pictures = [picture for row in info.rows for picture in row.pictures]
    assert len(pictures) == 2 * COLUMNS
    first = min(len(agreed), len(pictures))
    assert first > 0
    assert [picture.index in agreed for picture in pictures] == [True] * first + [False] * (len(pictures) - first)
    assert pictures[0].lines[1].startswith("3 of 3, 0.")
    assert f"{info.n} of 300 images of the private test set" in hard_sentence(info)


def test_turned_images_are_right_in_most_seeds_with_and_wrong_in_most_without(results: Results, made: Made) -> None:
    info, labels = turned_info(results), results.labels("test")
    assert info is not None
    assert labels is not None
    own = next(one for one in info.variants if one.variant == "no augmentation, input scaling")
    right = {name: (predicted(results, made, name) == labels).sum(axis=0) >= 2 for name in ("cnn", own.variant)}
    assert own.fixed.n == (right["cnn"] & ~right[own.variant]).sum()
    assert own.broken.n == (~right["cnn"] & right[own.variant]).sum()
    assert own.title == "augmentation and input scaling"
    assert all(right["cnn"][picture.index] for picture in own.fixed.pictures)
    images = results.images("test")
    assert images is not None
    assert (own.fixed.pictures[0].image == images[own.fixed.pictures[0].index, 0]).all()
    assert f"With augmentation and input scaling, {own.fixed.n} images turn right and {own.broken.n} wrong" in turned_sentence(own, info)


def test_a_free_variant_is_told_as_what_it_does_itself(results: Results, made: Made) -> None:
    info, labels = turned_info(results), results.labels("test")
    assert info is not None
    own = next(one for one in info.variants if one.variant == "dnn")
    right = {name: (predicted(results, made, name) == labels).sum(axis=0) >= 2 for name in ("cnn", "dnn")}
    assert (own.fixed.n, own.broken.n) == ((right["dnn"] & ~right["cnn"]).sum(), (~right["dnn"] & right["cnn"]).sum())
    assert turned_sentence(own, info).startswith(f"dnn gets {own.fixed.n} image")


def test_a_tie_of_two_seeds_is_neither_right_nor_wrong(results: Results, made: Made) -> None:
    info, labels = turned_info(results), results.labels("test")
    assert info is not None
    own = next(one for one in info.variants if one.variant == "no augmentation")
    assert own.seeds == 2  # the third has diverged
    here, there = ((predicted(results, made, name)[:2] == labels).sum(axis=0) for name in ("no augmentation", "cnn"))
    assert own.fixed.n == ((here == 0) & (there == 2)).sum()


def test_the_table_counts_and_the_figure_shows_and_says_synthetic(tmp_path: Path, results: Results) -> None:
    info = turned_info(results)
    assert info is not None
    assert [row[0] for row in turned_table(info).rows] == [one.variant for one in info.variants]
    make_ledger(tmp_path, seeds=2, images=200, epochs=2, synthetic=True, data_name="synthetic", shape=(3, 8, 8))
    made_up = turned_info(Results.load(tmp_path, "report"))
    assert made_up is not None
    rows = [one.fixed for one in made_up.variants if one.fixed.pictures][:ROWS]
    words = [text.get_text() for text in draw_gallery(rows, made_up.synthetic).findobj(Text)]
    assert SYNTHETIC_NOTE in words
    assert any(f"n = {rows[0].n}" in word for word in words)


def test_one_training_has_no_gallery(tmp_path: Path) -> None:
    make_ledger(tmp_path, seeds=1, epochs=2)
    results = Results.load(tmp_path, "report")
    assert hard_info(results) is None
    assert turned_info(results) is None


def test_without_images_in_the_ledger_there_is_no_gallery(tmp_path: Path) -> None:
    make_ledger(tmp_path, seeds=2, epochs=2)
    for file in (tmp_path / "data").glob("*/evaluation.npz"):
        arrays = {name: array for name, array in np.load(file).items() if not name.endswith("_images")}
        np.savez(file, allow_pickle=False, **arrays)
    results = Results.load(tmp_path, "report")
    assert hard_info(results) is None
    assert turned_info(results) is None


def test_images_that_seeds_draw_are_not_set_beside_each_other(tmp_path: Path) -> None:
    make_ledger(tmp_path, redrawn=True, test="absent", seeds=3, epochs=2)
    results = Results.load(tmp_path, "report")
    assert hard_info(results) is None
    assert turned_info(results) is None


def test_trainings_of_one_answer_are_warned_of(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, seeds=3, images=200, epochs=2, variants={"cnn": ({}, []), "dnn": ({"model": "dnn"}, [])})
    file = tmp_path / "trials" / made.keys["dnn", 0, 1] / "predictions.npz"
    np.savez(file, allow_pickle=False, **{**dict(np.load(file)), "test_selected": np.eye(7, dtype=np.float32)[np.full(200, 3)]})
    results = Results.load(tmp_path, "report")
    hard, turned = hard_info(results, "dnn"), turned_info(results)
    assert hard is not None
    assert turned is not None
    words = "1 of 3 trainings of dnn (seed 1) answers 'happy' for every image of the private test set"
    assert words in hard_sentence(hard)
    assert words in turned_sentence(turned.variants[0], turned)
    assert turned_claims(turned)[0].caveats == (words,)
