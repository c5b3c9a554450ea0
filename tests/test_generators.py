"""The generators that a whole process shares, seeded for a while."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch

from ferray.training.generators import seeded

PROCESSOR = torch.device("cpu")


def _draws() -> list[float]:
    return [random.random(), float(np.random.random()), float(torch.rand(()))]  # noqa: NPY002


def test_inside_they_follow_from_the_seed_and_outside_they_go_on_as_if_nothing_had_been() -> None:
    with seeded(7, PROCESSOR):
        expected = _draws()
    with seeded(8, PROCESSOR):
        before = _draws()
        with seeded(7, PROCESSOR):
            assert _draws() == expected
        after = _draws()
    with seeded(8, PROCESSOR):
        assert [_draws(), _draws()] == [before, after]


def test_they_are_put_back_after_a_fault() -> None:
    with seeded(8, PROCESSOR):
        expected = _draws()

    def fail() -> None:
        with seeded(2**63 - 1, PROCESSOR):
            raise KeyError(_draws()[0])

    with seeded(8, PROCESSOR):
        with pytest.raises(KeyError):
            fail()
        assert _draws() == expected
