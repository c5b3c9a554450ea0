from __future__ import annotations

import numpy as np
import pytest

from ferray.training.metrics import accuracy, confusion_matrix, macro_f1


def test_the_confusion_matrix_has_true_classes_as_rows() -> None:
    confusion = confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1]), 3)
    assert confusion.tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]


def test_accuracy_is_the_share_of_right_predictions() -> None:
    assert accuracy(np.array([[3, 1], [2, 4]])) == pytest.approx(0.7)


def test_macro_f1_is_the_mean_of_the_classes_harmonic_means() -> None:
    # precision and recall of class 0 are 3/5 and 3/4, those of class 1 are 4/5 and 4/6
    first, second = 2 * 0.6 * 0.75 / 1.35, 2 * 0.8 * (4 / 6) / (0.8 + 4 / 6)
    assert macro_f1(np.array([[3, 1], [2, 4]])) == pytest.approx((first + second) / 2)


def test_a_class_that_is_never_predicted_counts_as_zero() -> None:
    assert macro_f1(np.array([[4, 0], [4, 0]])) == pytest.approx((2 * 0.5 / 1.5) / 2)


def test_a_class_without_labels_and_predictions_is_left_out_of_macro_f1() -> None:
    assert macro_f1(np.array([[3, 0, 1], [0, 0, 0], [2, 0, 4]])) == pytest.approx(macro_f1(np.array([[3, 1], [2, 4]])))
