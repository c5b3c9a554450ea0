"""A trial's figures as one number per image, whose mean over the images is the figure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ferray.analysis.results import Results

CLASS = "class:"
"""Before a class's name: the metric that is its recall, the share of its images that are taken for it."""


def per_image(results: Results, key: str, split: str, metric: str) -> NDArray[np.float64] | None:
    """One number per image of the split [images] for a trial at its selected epoch, or None where it left no predictions.

    ``metric`` is ``accuracy`` (1 where right), ``loss`` (cross-entropy), ``macro_f1``, or ``class:NAME`` for a class's recall. The mean
    over images is the figure itself. Macro-F1 and recall are ratios of sums: what an image adds is linear in its place only near the
    figure, so each number is the figure plus the image's influence on it (the infinitesimal jackknife; Efron 1982, chapter 6).
    """
    probabilities, labels = results.probabilities(key, split), results.labels(split)
    if probabilities is None or labels is None or len(probabilities) != len(labels) or not len(labels):
        return None
    return of_predictions(probabilities, labels, metric, results.classes)


def of_predictions(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], metric: str, classes: tuple[str, ...]
) -> NDArray[np.float64]:
    """What ``per_image`` says, of probabilities [images, classes] and labels [images]. Raises ValueError for an unknown metric."""
    if metric == "loss":
        told = probabilities[np.arange(len(labels)), labels].astype(float)
        return np.asarray(-np.log(np.maximum(told, np.finfo(np.float32).tiny)), dtype=float)
    predicted = probabilities.argmax(axis=1)
    right: NDArray[np.float64] = (predicted == labels).astype(float)
    if metric == "accuracy":
        return right
    if metric == "macro_f1":
        return _macro_f1(predicted, labels, len(classes))
    if metric.startswith(CLASS) and metric.removeprefix(CLASS) in classes:
        return of_class(right, labels == classes.index(metric.removeprefix(CLASS)))
    raise ValueError(f"no metric is called {metric!r}")


def of_class(right: NDArray[np.floating], own: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What ``per_image`` says of a class's recall, of the images [..., images] that are right, or of differences in these.

    ``own`` [images] are the class's. The recall of a difference is the difference of the recalls. NaN for a class without images.
    """
    if not own.any():
        return np.full(right.shape, np.nan)
    recall = right[..., own].mean(axis=-1, keepdims=True)
    return np.asarray(recall + own * (right - recall) / own.mean(), dtype=float)


def _macro_f1(predicted: NDArray[np.integer], labels: NDArray[np.integer], classes: int) -> NDArray[np.float64]:
    """Macro-F1 over the classes that appear or are answered, plus each image's influence on it."""
    total: NDArray[np.float64] = np.zeros(len(labels))
    occurring = 0
    for one in range(classes):
        answered, true = predicted == one, labels == one
        hits, both = (answered & true).mean(), answered.mean() + true.mean()
        if not both:
            continue
        occurring += 1
        f1 = 2 * hits / both
        total += f1 + (2 * (answered & true) - f1 * (answered.astype(float) + true)) / both
    return total / occurring
