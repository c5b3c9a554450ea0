from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import torch
from toy_data import toy_data

from ferray.training.resident import of_seed, resident


def test_trainings_of_one_seed_share_the_split_that_it_draws() -> None:
    data = replace(toy_data(), splits_by_seed=True)
    first = of_seed(data, 1)
    assert of_seed(data, 1) is first
    assert of_seed(data, 2) is not first
    assert np.array_equal(first.train.images, data.for_seed(1).train.images)
    assert of_seed(replace(data), 1) is not first
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None, "only trainings hold it"
    whole = toy_data()
    assert of_seed(whole, 1) is whole


def test_on_a_processor_nothing_is_copied() -> None:
    data = toy_data()
    there = resident(data, torch.device("cpu"))
    assert there.images["train"].data_ptr() == data.train.images.ctypes.data
    assert set(there.labels) == {"train", "validation", "test"}
