"""Accuracy and macro-F1 from a confusion matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def confusion_matrix(labels: NDArray[np.int64], predictions: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Counts [classes, classes]: the true class is the row, the predicted one the column."""
    return np.bincount(labels * classes + predictions, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def accuracy(confusion: NDArray[np.int64]) -> float:
    """The share of images on the diagonal, 0..1."""
    return float(np.trace(confusion) / confusion.sum())


def macro_f1(confusion: NDArray[np.int64]) -> float:
    """The mean over classes of F1, the harmonic mean of precision and recall, 0..1.

    A class that is neither among the labels nor among the predictions has no F1 and is left out of the mean, as in scikit-learn's
    f1_score(average="macro") without ``labels``.
    """
    occurrences = confusion.sum(axis=0) + confusion.sum(axis=1)
    occurring = occurrences > 0
    return float(np.mean(2 * np.diag(confusion)[occurring] / occurrences[occurring]))


def scores(loss: float, labels: NDArray[np.int64], predictions: NDArray[np.int64], classes: int) -> dict[str, float]:
    """The given loss, and accuracy and macro-F1 of predictions [n] against labels [n]."""
    confusion = confusion_matrix(labels, predictions, classes)
    return {"loss": loss, "accuracy": accuracy(confusion), "macro_f1": macro_f1(confusion)}
