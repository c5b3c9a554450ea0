"""Synthetic faces: FER2013's classes and imbalance, the same bytes for the same seed, and the planted truths measured."""

from __future__ import annotations

import time
from dataclasses import fields

import numpy as np
import pytest

from ferray.config import DataSource
from ferray.data import load, synthetic
from ferray.data.dataset import CLASSES, SPLITS
from ferray.data.faces import Faces, draw
from ferray.errors import DataError

SIZE = 1200


@pytest.fixture(scope="module")
def drawn() -> dict[str, synthetic.Drawn]:
    return {name: synthetic.population(name, SIZE, seed=3) for name in SPLITS}


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
    assert load(DataSource(images=100)).fingerprint == "FINGERPRINT"


def test_no_face_occurs_twice(drawn: dict[str, synthetic.Drawn]) -> None:
    faces = {image.tobytes() for name in SPLITS for image in drawn[name].split.images}
    assert len(faces) == 3 * SIZE


def test_a_face_does_not_depend_on_what_is_drawn_beside_it() -> None:
    faces = synthetic.population("test", 60, seed=1).faces
    quiet = Faces(**{field.name: getattr(faces, field.name) for field in fields(Faces)} | {"noise": np.zeros(60, np.float32)})
    together = draw(quiet, np.random.default_rng(0))
    for place in range(0, 60, 7):
        alone = Faces(**{field.name: getattr(quiet, field.name)[place : place + 1] for field in fields(Faces)})
        np.testing.assert_array_equal(draw(alone, np.random.default_rng(0))[0], together[place])


def test_a_mirrored_face_is_the_mirrored_picture() -> None:
    faces = synthetic.population("train", 20, seed=1).faces
    plain = {field.name: getattr(faces, field.name) for field in fields(Faces)} | {"noise": np.zeros(20, np.float32)}
    mirrored = plain | {"mirror": -np.ones(20, np.float32)}
    generator = np.random.default_rng(0)
    np.testing.assert_array_equal(draw(Faces(**plain), generator)[..., ::-1], draw(Faces(**mirrored), generator))


def test_pictures_use_the_range_of_grey_without_drowning_in_black_or_white(drawn: dict[str, synthetic.Drawn]) -> None:
    for name in SPLITS:
        images = drawn[name].split.images
        assert 20 < images.mean(axis=(1, 2, 3)).min()
        assert images.mean(axis=(1, 2, 3)).max() < 225
        assert images.std(axis=(1, 2, 3)).min() > 10
        assert ((images == 0) | (images == 255)).mean() < 0.05


def test_light_falls_from_the_left_in_training_and_from_both_sides_in_validation_and_test(drawn: dict[str, synthetic.Drawn]) -> None:
    from_left = {}
    for name in SPLITS:
        images = drawn[name].split.images[:, 0].astype(float)
        from_left[name] = (images[:, :, :24].mean(axis=(1, 2)) > images[:, :, 24:].mean(axis=(1, 2))).mean()
    assert from_left["train"] > 0.95
    assert 0.4 < from_left["validation"] < 0.6
    assert 0.4 < from_left["test"] < 0.6


def test_poses_are_narrow_in_training_and_wide_in_validation_and_test(drawn: dict[str, synthetic.Drawn]) -> None:
    reach = {name: float(np.abs(drawn[name].faces.angle).max()) for name in SPLITS}
    assert 0.9 * synthetic.TRAIN_ANGLE < reach["train"] <= synthetic.TRAIN_ANGLE
    for name in ("validation", "test"):
        assert 0.9 * synthetic.EVALUATION_ANGLE < reach[name] <= synthetic.EVALUATION_ANGLE


def test_brightness_varies_more_in_validation_and_test(drawn: dict[str, synthetic.Drawn]) -> None:
    spread = {name: float((drawn[name].faces.gain * 0.5 + drawn[name].faces.offset).std()) for name in SPLITS}
    assert min(spread["validation"], spread["test"]) > 1.5 * spread["train"]


def test_the_planned_share_of_labels_is_noise_in_every_split() -> None:
    share = synthetic.FER2013_COUNTS / synthetic.FER2013_COUNTS.sum()
    expected = synthetic.LABEL_NOISE * (1 - (share**2).sum())
    for name in SPLITS:
        drawn = synthetic.population(name, 3000, seed=1)
        wrong = float((drawn.split.labels != drawn.truth).mean())
        assert abs(wrong - expected) < 4 * (expected / 3000) ** 0.5
        assert np.bincount(drawn.split.labels).tolist() == np.bincount(drawn.truth).tolist()


def test_lookalikes_show_the_other_class_in_the_planned_share_and_no_other_class_does() -> None:
    drawn = synthetic.population("test", 6000, seed=2)
    for label, name in enumerate(CLASSES):
        mine = drawn.shown[drawn.truth == label]
        other, share = synthetic.LOOKALIKES.get(name, (name, 1.0))
        assert set(mine) <= {label, CLASSES.index(other)}
        assert abs((mine == CLASSES.index(other)).mean() - share) < 0.15 if name == "disgust" else 0.07


def test_the_best_answer_to_a_lookalike_is_the_class_that_it_shows() -> None:
    counts = dict(zip(CLASSES, synthetic.FER2013_COUNTS, strict=True))
    for name, (other, share) in synthetic.LOOKALIKES.items():
        assert share * counts[name] < counts[other]


def test_even_who_knows_what_each_face_shows_stays_well_below_100_percent() -> None:
    drawn = synthetic.population("test", 6000, seed=4)
    assert 0.78 < (drawn.shown == drawn.split.labels).mean() < 0.86


def test_a_path_makes_no_sense_for_synthetic_faces() -> None:
    with pytest.raises(DataError, match="drawn, not read"):
        load(DataSource(path="faces"))
