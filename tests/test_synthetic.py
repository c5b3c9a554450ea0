"""Synthetic faces: FER2013's classes and imbalance, the same bytes for the same seed, and the planted truths measured."""

from __future__ import annotations

import time
from dataclasses import fields

import numpy as np
import pytest
from numpy.typing import NDArray

from ferray.data import load, synthetic
from ferray.data.dataset import CLASSES, SPLITS
from ferray.data.faces import Faces, draw
from ferray.data_source import DataSource
from ferray.errors import DataError

SIZE = 800


@pytest.fixture(scope="module")
def people() -> dict[str, synthetic.Population]:
    return {name: synthetic.population(name, SIZE, seed=3) for name in SPLITS}


@pytest.fixture(scope="module")
def pictures(people: dict[str, synthetic.Population]) -> dict[str, NDArray[np.uint8]]:
    return {name: synthetic.drawn(name, people[name], seed=3).images for name in SPLITS}


def test_the_default_source_is_6000_faces_in_seconds() -> None:
    start = time.perf_counter()
    data = load(DataSource())
    assert time.perf_counter() - start < 10
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 4000, "validation": 1000, "test": 1000}
    assert data.synthetic
    assert data.classes == CLASSES
    assert data.image_shape == (1, 48, 48)


@pytest.mark.parametrize("images", [70, 801])
def test_every_split_has_the_imbalance_of_fer2013_and_every_class(images: int) -> None:
    data = load(DataSource(images=images))
    assert len(data.test) == len(data.validation) == images // 4
    share = synthetic.FER2013_COUNTS / synthetic.FER2013_COUNTS.sum()
    for name, split in data.splits.items():
        counts = np.array(list(data.counts[name].values()))
        assert counts.min() >= 1
        assert np.abs(counts - share * len(split)).max() <= 1


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    first, again, other = (load(DataSource(images=200, seed=seed)) for seed in (5, 5, 6))
    assert first.train.images.tobytes() == again.train.images.tobytes()
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != other.fingerprint


def test_the_bytes_are_the_same_on_every_machine() -> None:
    assert load(DataSource(images=100)).fingerprint == "80e1b832a8c1d23afd7cdf3cda03d44a"


def test_no_face_occurs_twice(pictures: dict[str, NDArray[np.uint8]]) -> None:
    faces = {image.tobytes() for name in SPLITS for image in pictures[name]}
    assert len(faces) == 3 * SIZE


def test_a_face_does_not_depend_on_what_is_drawn_beside_it() -> None:
    faces = synthetic.population("test", 60, seed=1).faces
    quiet = Faces(**{field.name: getattr(faces, field.name) for field in fields(Faces)} | {"noise": np.zeros(60, np.float32)})
    together = draw(quiet, np.random.default_rng(0))
    for place in range(60):
        alone = Faces(**{field.name: getattr(quiet, field.name)[place : place + 1] for field in fields(Faces)})
        np.testing.assert_array_equal(draw(alone, np.random.default_rng(0))[0], together[place])


def test_a_mirrored_face_is_the_mirrored_picture() -> None:
    faces = synthetic.population("train", 20, seed=1).faces
    plain = {field.name: getattr(faces, field.name) for field in fields(Faces)} | {"noise": np.zeros(20, np.float32)}
    mirrored = plain | {"mirror": -np.ones(20, np.float32)}
    generator = np.random.default_rng(0)
    np.testing.assert_array_equal(draw(Faces(**plain), generator)[..., ::-1], draw(Faces(**mirrored), generator))


def test_pictures_use_the_range_of_grey_without_drowning_in_black_or_white(pictures: dict[str, NDArray[np.uint8]]) -> None:
    for name in SPLITS:
        images = pictures[name]
        assert images.mean(axis=(1, 2, 3)).min() > 20
        assert images.mean(axis=(1, 2, 3)).max() < 240
        assert images.std(axis=(1, 2, 3)).min() > 6
        assert ((images == 0) | (images == 255)).mean() < 0.05


def test_light_falls_from_the_left_in_training_and_from_both_sides_in_validation_and_test(pictures: dict[str, NDArray[np.uint8]]) -> None:
    from_left = {}
    for name in SPLITS:
        images = pictures[name][:, 0].astype(float)
        from_left[name] = (images[:, :, :24].mean(axis=(1, 2)) > images[:, :, 24:].mean(axis=(1, 2))).mean()
    assert from_left["train"] > 0.95
    assert 0.4 < from_left["validation"] < 0.6
    assert 0.4 < from_left["test"] < 0.6


def test_poses_are_narrow_in_training_and_wide_in_validation_and_test(people: dict[str, synthetic.Population]) -> None:
    reach = {name: float(np.abs(people[name].faces.angle).max()) for name in SPLITS}
    assert 0.9 * synthetic.TRAIN_ANGLE < reach["train"] <= synthetic.TRAIN_ANGLE
    for name in ("validation", "test"):
        assert 0.9 * synthetic.EVALUATION_ANGLE < reach[name] <= synthetic.EVALUATION_ANGLE


def test_brightness_varies_more_in_validation_and_test(people: dict[str, synthetic.Population]) -> None:
    spread = {name: float((people[name].faces.gain * 0.5 + people[name].faces.offset).std()) for name in SPLITS}
    assert min(spread["validation"], spread["test"]) > 2 * spread["train"]


def test_the_planned_share_of_labels_is_noise_in_every_split() -> None:
    share = synthetic.FER2013_COUNTS / synthetic.FER2013_COUNTS.sum()
    expected = synthetic.LABEL_NOISE * (1 - (share**2).sum())
    for name in SPLITS:
        people = synthetic.population(name, 3000, seed=1)
        wrong = float((people.labels != people.truth).mean())
        assert abs(wrong - expected) < 4 * (expected / 3000) ** 0.5
        assert np.bincount(people.labels).tolist() == np.bincount(people.truth).tolist()


def test_lookalikes_show_the_other_class_in_the_planned_share_and_no_other_class_does() -> None:
    people = synthetic.population("test", 6000, seed=2)
    for label, name in enumerate(CLASSES):
        mine = people.shown[people.truth == label]
        other, share = synthetic.LOOKALIKES.get(name, (name, 1.0))
        assert set(mine) <= {label, CLASSES.index(other)}
        assert abs((mine == CLASSES.index(other)).mean() - share) < (0.2 if name == "disgust" else 0.07)


def test_the_best_answer_to_a_lookalike_is_the_class_that_it_shows() -> None:
    counts = dict(zip(CLASSES, synthetic.FER2013_COUNTS, strict=True))
    for name, (other, share) in synthetic.LOOKALIKES.items():
        assert share * counts[name] < counts[other]


def test_even_who_knows_what_each_face_shows_stays_well_below_100_percent() -> None:
    people = synthetic.population("test", 6000, seed=4)
    assert 0.78 < (people.shown == people.labels).mean() < 0.86


def test_a_path_makes_no_sense_for_synthetic_faces() -> None:
    with pytest.raises(DataError, match="drawn, not read"):
        load(DataSource(source="synthetic", path="faces"))
