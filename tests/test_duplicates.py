"""Near-identical images: one photograph saved anew is found, different ones of one kind are not."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ferray.data import duplicates
from ferray.data.duplicates import describe, groups

Pixels = NDArray[np.uint8]


def photographs(count: int, seed: int, size: int = 48, channels: int = 1) -> Pixels:
    """Smooth pictures, as photographs are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count * channels, 7, 7), np.uint8)
    smooth = [np.asarray(Image.fromarray(one).resize((size, size), Image.Resampling.BICUBIC)) for one in coarse]
    return np.stack(smooth).reshape(count, channels, size, size)


def told(train: Pixels, test: Pixels, train_labels: list[int] | None = None, test_labels: list[int] | None = None) -> list[str]:
    images = {"train": train, "test": test}
    labels = {name: np.array(given or [0] * len(images[name])) for name, given in (("train", train_labels), ("test", test_labels))}
    return describe(images, labels, {name: [f"{name} {number}" for number in range(len(given))] for name, given in images.items()})


def changed(image: Pixels, how: str, noise: float = 6) -> Pixels:
    picture = image[0].astype(float)
    if how == "darker":
        picture = picture * 0.6
    elif how == "noisy":
        picture = picture + np.random.default_rng(5).normal(0, noise, picture.shape)
    elif how == "smaller":
        small = Image.fromarray(image[0]).resize((30, 30))
        picture = np.asarray(small.resize((48, 48))).astype(float)
    return np.clip(picture, 0, 255).astype(np.uint8)[None]


@pytest.mark.parametrize("how", ["same", "darker", "noisy", "smaller"])
def test_one_photograph_saved_anew_is_found(how: str) -> None:
    train, test = photographs(60, seed=1), photographs(20, seed=2)
    test[7] = changed(train[33], how)
    assert told(train, test) == ["1 of 20 test images is near-identical to a training image; for example test 7 and train 33"]


def test_different_photographs_are_not_taken_for_one() -> None:
    assert told(photographs(2000, seed=1), photographs(500, seed=2)) == []


def test_the_most_similar_one_is_named_and_another_class_counted() -> None:
    train, test = photographs(30, seed=1), photographs(5, seed=2)
    train[3] = changed(train[20], "noisy")
    test[0], test[4] = train[20], train[11]
    assert told(train, test, list(range(30)), [20, 0, 0, 0, 0]) == [
        "2 of 5 test images are near-identical to a training image, 1 of them of another class; for example test 0 and train 20; "
        "test 4 and train 11"
    ]


def test_images_without_a_label_are_of_no_other_class() -> None:
    same = photographs(3, seed=1)
    assert told(same, same, [0, 1, 2], [-1, -1, -1])[0].startswith("3 of 3 test images are near-identical to a training image; for")


def test_blank_images_are_alike_only_where_they_are_equally_bright() -> None:
    blank = np.zeros((2, 1, 48, 48), np.uint8)
    assert told(blank, blank[:1])
    assert not told(blank, blank[:1] + 100)


def test_small_images_must_be_almost_the_same() -> None:
    train = photographs(30, seed=1, size=10)
    test = train[:2].copy()
    test[1] = changed(train[1], "noisy", 15)
    assert told(train, test) == ["1 of 2 test images is near-identical to a training image; for example test 0 and train 0"]


def test_colours_count_by_their_mean() -> None:
    train = photographs(20, seed=1, channels=3)
    assert told(train, train[5:6]) == ["1 of 1 test images is near-identical to a training image; for example test 0 and train 5"]


def test_of_too_many_pairs_only_equal_hashes_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MOST_PAIRS", 10)
    train = photographs(20, seed=1)
    assert told(train, train[5:6])


def test_ten_thousand_images_against_fifty_thousand_take_seconds() -> None:
    generator = np.random.default_rng(0)
    train, test = (generator.integers(0, 256, (count, 1, 32, 32), np.uint8) for count in (50_000, 10_000))
    start = time.process_time()
    assert told(train, test) == []
    assert time.process_time() - start < 20


def test_near_identical_images_of_one_split_share_a_group_and_others_have_their_own() -> None:
    pictures = photographs(40, seed=3)
    pictures[7] = pictures[2]
    pictures[11] = changed(pictures[2], "darker")
    found = groups(pictures)
    assert found[7] == found[11] == found[2]
    assert len(set(found)) == found.max() + 1 == 38


def test_groups_of_a_whole_test_set_are_found_in_a_moment_even_where_all_images_are_equal() -> None:
    pictures = photographs(3589, seed=4)
    started = time.process_time()
    assert len(set(groups(pictures))) > 3580
    assert set(groups(np.zeros((3589, 1, 48, 48), np.uint8))) == {0}
    assert time.process_time() - started < 10


def test_no_images_have_no_groups() -> None:
    assert groups(np.zeros((0, 1, 8, 8), np.uint8)).shape == (0,)
