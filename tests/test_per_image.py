"""A trial's figures as one number per image: against scikit-learn, and their influence against leaving images out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score, log_loss, recall_score  # type: ignore[import-untyped]

from ferray.analysis.per_image import of_predictions

CLASSES = ("happy", "sad", "rare")


def predictions(images: int = 400, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    labels = generator.choice(3, images, p=[0.6, 0.3, 0.1])
    logits = generator.gumbel(0, 1, (images, 3))
    logits[np.arange(images), labels] += 1.2
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True), labels


def test_the_mean_over_the_images_is_the_figure() -> None:
    shares, labels = predictions()
    predicted = shares.argmax(axis=1)
    expected = {
        "accuracy": (predicted == labels).mean(),
        "loss": log_loss(labels, shares),
        "macro_f1": f1_score(labels, predicted, average="macro"),
        **{f"class:{name}": recall_score(labels, predicted, average=None)[place] for place, name in enumerate(CLASSES)},
    }
    for metric, figure in expected.items():
        assert of_predictions(shares, labels, metric, CLASSES).mean() == pytest.approx(figure), metric


@pytest.mark.parametrize("metric", ["macro_f1", "class:rare"])
def test_an_images_number_is_what_leaving_it_out_changes(metric: str) -> None:
    shares, labels = predictions()
    values = of_predictions(shares, labels, metric, CLASSES)
    kept = [np.delete(np.arange(400), one) for one in range(400)]
    without = np.array([of_predictions(shares[rest], labels[rest], metric, CLASSES).mean() for rest in kept])
    jackknife = values.mean() + 399 * (values.mean() - without)
    assert np.corrcoef(values, jackknife)[0, 1] > 0.999
    assert values.std(ddof=1) == pytest.approx(jackknife.std(ddof=1), rel=0.03)


@pytest.mark.parametrize("metric", ["macro_f1", "class:rare", "class:happy"])
def test_the_spread_of_the_numbers_is_that_of_the_figure_over_other_images(metric: str) -> None:
    shares, labels = predictions(1000)
    error = of_predictions(shares, labels, metric, CLASSES).std(ddof=1) / math.sqrt(1000)
    generator = np.random.default_rng(1)
    drawn = (generator.integers(0, 1000, 1000) for _ in range(600))
    figures = [of_predictions(shares[one], labels[one], metric, CLASSES).mean() for one in drawn]
    assert error == pytest.approx(np.std(figures), rel=0.12)  # of 600 resamples, whose own error is 3 %


def test_a_class_without_images_has_no_recall() -> None:
    shares, labels = predictions(50)
    assert np.isnan(of_predictions(shares, np.zeros_like(labels), "class:rare", CLASSES)).all()


def test_a_class_that_neither_occurs_nor_is_answered_is_left_out_of_macro_f1() -> None:
    shares = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
    labels = np.array([0, 1])
    assert of_predictions(shares, labels, "macro_f1", CLASSES).mean() == 1


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(ValueError, match="no metric is called 'auc'"):
        of_predictions(*predictions(10), "auc", CLASSES)
