"""Datasets: what they check, what identifies them, how they are divided, and the command line that describes them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ferray.data import Dataset, Split, load
from ferray.data.dataset import apportion, content_fingerprint, thumbnails
from ferray.data_source import DataSource
from ferray.errors import DataError

CLASSES = ("left", "right", "rare")


def make(seed: int = 0, name: str = "made", classes: tuple[str, ...] = CLASSES) -> Dataset:
    generator = np.random.default_rng(seed)

    def split(size: int) -> Split:
        labels = generator.permutation(np.repeat([0, 1, 2], [size // 2, size - size // 2 - 3, 3])).astype(np.int64)
        return Split(generator.integers(0, 256, (size, 1, 4, 6), np.uint8), labels)

    return Dataset.build(name, classes, {"train": split(100), "validation": split(40), "test": split(20)}, synthetic=True)


def test_a_dataset_tells_its_counts_and_shape() -> None:
    data = make()
    assert data.counts["train"] == {"left": 50, "right": 47, "rare": 3}
    assert data.image_shape == (1, 4, 6)
    assert list(data.splits) == ["train", "validation", "test"]
    assert data.summary()["fingerprint"] == data.fingerprint
    assert len(data.fingerprint) == 32


def test_the_fingerprint_covers_pixels_labels_and_classes_and_nothing_else() -> None:
    data = make()
    assert make(name="other").fingerprint == data.fingerprint
    assert make(seed=1).fingerprint != data.fingerprint
    assert make(classes=("left", "right", "rarest")).fingerprint != data.fingerprint
    for part in ("images", "labels"):
        for name, split in make().splits.items():
            changed = {key: Split(value.images.copy(), value.labels.copy()) for key, value in data.splits.items()}
            values = getattr(changed[name], part)
            values[0] = 1 - np.minimum(values[0], 1)
            assert content_fingerprint(CLASSES, changed) != data.fingerprint, (name, part, split)


def test_images_moved_between_splits_change_the_fingerprint() -> None:
    data = make()
    images = np.concatenate([split.images for split in data.splits.values()])
    labels = np.concatenate([split.labels for split in data.splits.values()])

    def divided(*ends: int) -> str:
        bounds = (0, *ends, len(labels))
        parts = {name: Split(images[a:b], labels[a:b]) for name, a, b in zip(data.splits, bounds[:-1], bounds[1:], strict=True)}
        return content_fingerprint(CLASSES, parts)

    assert divided(100, 140) == data.fingerprint
    assert divided(99, 140) != data.fingerprint


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (Split(np.zeros((0, 1, 4, 6), np.uint8), np.zeros(0, np.int64)), "split 'validation': holds no image"),
        (Split(np.zeros((2, 1, 4, 6), np.uint8), np.array([0, 3])), "labels must lie in 0..2, not 0..3"),
        (Split(np.zeros((2, 4, 6), np.uint8), np.array([0, 1])), "images must be uint8"),
        (Split(np.zeros((2, 1, 4, 6), np.uint8), np.array([0])), "labels must be int64"),
        (Split(np.zeros((2, 1, 5, 6), np.uint8), np.array([0, 1])), "must have one shape"),
    ],
)
def test_a_malformed_split_is_refused(split: Split, message: str) -> None:
    splits = make().splits | {"validation": split}
    with pytest.raises(DataError, match=message):
        Dataset.build("made", CLASSES, splits, synthetic=True)


@pytest.mark.parametrize("images", [3, 10, 50, 99])
def test_a_subset_keeps_the_shares_of_splits_and_classes(images: int) -> None:
    data = make()
    part = data.subset(images)
    assert len(part.train) == images
    for name, split in data.splits.items():
        assert len(part.splits[name]) == max(round(len(split) * images / 100), 3)
        for label, count in enumerate(part.counts[name].values()):
            assert count >= 1
            share = float((split.labels == label).mean())
            assert abs(count - share * len(part.splits[name])) < 2
    assert part.fingerprint != data.fingerprint


def test_a_subset_is_of_images_that_are_there_with_their_labels() -> None:
    data = make()
    known = {image.tobytes(): label for image, label in zip(data.train.images, data.train.labels, strict=True)}
    part = data.subset(30)
    assert len({image.tobytes() for image in part.train.images}) == 30
    assert all(known[image.tobytes()] == label for image, label in zip(part.train.images, part.train.labels, strict=True))


def test_a_subset_depends_on_its_seed_alone_and_grows_with_its_size() -> None:
    data = make()
    assert data.subset(30, seed=1).fingerprint == data.subset(30, seed=1).fingerprint
    assert data.subset(30, seed=1).fingerprint != data.subset(30, seed=2).fingerprint
    small = {image.tobytes() for image in data.subset(30).train.images}
    assert small <= {image.tobytes() for image in data.subset(60).train.images}


def test_a_subset_of_all_images_is_the_dataset_itself() -> None:
    data = make()
    assert data.subset(100).fingerprint == data.fingerprint


@pytest.mark.parametrize("images", [0, 2, 101])
def test_an_impossible_subset_is_refused_with_its_bounds(images: int) -> None:
    with pytest.raises(DataError, match=r"between 3 \(the classes\) and 100 \(the training images\)"):
        make().subset(images)


def test_the_source_asks_for_the_subset() -> None:
    whole = DataSource(images=200)
    part = load(DataSource(images=200, subset=50))
    assert (len(part.train), len(part.test)) == (50, 12)
    assert part.fingerprint == load(whole).subset(50).fingerprint


def test_a_split_takes_a_copy() -> None:
    data = make()
    taken = data.train.take(np.array([3, 1]))
    taken.images[:] = 0
    assert data.train.images[[3, 1]].any()
    assert taken.labels.tolist() == data.train.labels[[3, 1]].tolist()


def unlabelled(data: Dataset) -> Dataset:
    splits = data.splits | {"test": Split(data.test.images, np.full_like(data.test.labels, -1))}
    return Dataset.build("made", CLASSES, splits, synthetic=True, notes=["it was made"])


def test_a_test_split_may_lack_labels_or_be_absent_and_missing_says_so() -> None:
    data = unlabelled(make())
    assert data.summary() | {"fingerprint": "", "name": ""} == {
        "name": "",
        "classes": list(CLASSES),
        "counts": make().counts | {"test": dict.fromkeys(CLASSES, 0)},
        "synthetic": True,
        "image_shape": [1, 4, 6],
        "fingerprint": "",
        "notes": ["it was made"],
        "missing": {"test": "the test images have no labels"},
        "votes": False,
    }
    absent = Dataset.build("made", CLASSES, {"train": make().train, "validation": make().validation}, synthetic=True)
    assert (absent.test.images.shape, absent.test.labelled) == ((0, 1, 4, 6), False)
    assert absent.missing == {"test": "there are no test images"}
    assert len({absent.fingerprint, data.fingerprint, make().fingerprint}) == 3


def test_a_subset_keeps_notes_and_takes_of_a_test_split_without_labels_its_share() -> None:
    part = unlabelled(make()).subset(50)
    assert (part.notes, part.missing) == (("it was made",), {"test": "the test images have no labels"})
    assert part.test.labels.tolist() == [-1] * 10


def test_votes_are_part_of_the_fingerprint_and_go_into_subsets() -> None:
    def voted(value: float) -> Dataset:
        splits = {
            name: Split(one.images, one.labels, np.full((len(one), 3), value, np.float32) + one.labels[:, None].astype(np.float32))
            for name, one in make().splits.items()
        }
        return Dataset.build("made", CLASSES, splits, synthetic=True)

    assert len({voted(1).fingerprint, voted(2).fingerprint, make().fingerprint}) == 3
    part = voted(1).subset(20).train
    assert part.votes is not None
    np.testing.assert_array_equal(part.votes[:, 0], part.labels + 1)


def test_votes_go_with_their_images_into_the_splits_that_a_seed_draws() -> None:
    voted = {name: replace(split, votes=np.eye(3, dtype=np.float32)[split.labels]) for name, split in make().splits.items()}
    data = Dataset.build("made", CLASSES, voted, synthetic=True, splits_by_seed=True)
    for split in data.for_seed(7).splits.values():
        assert split.votes is not None
        np.testing.assert_array_equal(split.votes.argmax(axis=1), split.labels)


@pytest.mark.parametrize("votes", [np.zeros((40, 3)), np.zeros((40, 2), np.float32), np.zeros((3, 3), np.float32)])
def test_malformed_votes_are_refused(votes: np.ndarray[Any, Any]) -> None:
    data = make()
    with pytest.raises(DataError, match=r"votes must be float32 \[40, 3\]"):
        Dataset.build(
            "made", CLASSES, data.splits | {"validation": Split(data.validation.images, data.validation.labels, votes)}, synthetic=True
        )


def test_votes_are_for_all_splits_or_none() -> None:
    data = make()
    some = Split(data.train.images, data.train.labels, np.zeros((100, 3), np.float32))
    with pytest.raises(DataError, match="all splits have votes, or none has"):
        Dataset.build("made", CLASSES, data.splits | {"train": some}, synthetic=True)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3, 1, 48, 48), (48, 48)),
        ((3, 3, 128, 128), (64, 64)),
        ((3, 1, 130, 65), (43, 21)),
        ((3, 1, 200, 1), (50, 1)),
        ((0, 1, 99, 99), (99, 99)),
    ],
)
def test_thumbnails_have_at_most_64_pixels_a_side(shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    small = thumbnails(images)
    assert small.shape == (*shape[:2], *expected)
    assert small.dtype == np.uint8
    if shape[2] == 128:
        assert small[1, 2, 5, 7] == pytest.approx(images[1, 2, 10:12, 14:16].mean(), abs=0.51)


def test_a_relative_path_is_looked_for_beside_the_study_then_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("study", "here"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "faces.txt").touch()
    monkeypatch.chdir(tmp_path / "here")
    source = DataSource(path="faces.txt")
    with pytest.raises(DataError, match=r"study.faces\.txt: neither a folder"):
        load(source, folders=[tmp_path / "study", tmp_path / "here"])
    with pytest.raises(DataError, match=r"here.faces\.txt: neither a folder"):
        load(source.located("faces.txt"), folders=[tmp_path / "study", tmp_path / "here"])
    with pytest.raises(DataError, match=r"^faces\.txt: neither a folder"):
        load(source)


def test_the_default_source_is_what_the_path_holds_or_synthetic() -> None:
    assert load(DataSource(images=70)).fingerprint == load(DataSource(source="synthetic", images=70)).fingerprint
    with pytest.raises(DataError, match="images: no path given; say where the data lie with --data PATH"):
        load(DataSource(source="images"))


def test_apportioning_is_exact_and_leaves_nobody_out() -> None:
    assert apportion(10, np.array([1, 1, 2])).tolist() in ([3, 2, 5], [2, 3, 5])
    assert apportion(5, np.array([1000, 1, 0, 1])).tolist() == [3, 1, 0, 1]
    assert apportion(3, np.array([1000, 1, 0, 1])).tolist() == [1, 1, 0, 1]


Describe = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def describe(tmp_path: Path) -> Describe:
    environment = {**os.environ, "FERRAY_CACHE": str(tmp_path), "COLUMNS": "120", "TERM": "dumb"}
    command = [sys.executable, "-m", "ferray.data"]
    return lambda *arguments: subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_the_command_line_describes_the_synthetic_faces(describe: Describe) -> None:
    done = describe("--subset", "700")
    assert done.returncode == 0, done.stderr
    for expected in ("surprise", "700", "1,050", "48x48", "drawn in memory"):
        assert expected in done.stdout
    assert re.search(r"Fingerprint  [0-9a-f]{32}\n", done.stdout)


def test_the_command_line_tells_what_was_done_to_the_images(describe: Describe, tmp_path: Path) -> None:
    from test_images import folder_of

    folder = folder_of(tmp_path / "pets", {"train/[cat]": 9, "train/犬": 9, "test": 3})
    done = describe(str(folder))
    assert done.returncode == 0, done.stderr
    for expected in (
        "pets",
        "[cat]",
        "犬",
        "(not known)",
        "20x20",
        "there is no validation split: every seed draws its own, 3",
        "Missing      figures on test: the classes",
    ):
        assert expected in done.stdout
    assert describe(str(folder)).stdout.splitlines()[:-1] == done.stdout.splitlines()[:-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.zip"], "missing.zip: no such file or folder"),
        (["--subset", "3"], "subset: must lie between 7"),
        (["--subset", "0"], "subset: must be at least 1, not 0"),
        (["--subst", "3"], "No such option"),
    ],
)
def test_a_users_mistake_is_told_on_stderr_with_status_2(describe: Describe, arguments: list[str], message: str) -> None:
    done = describe(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert not done.stdout


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="neither a folder nor a regular file"):
        load(DataSource(path=str(tmp_path / "pipe")))


def test_reading_data_loads_neither_ray_nor_torch() -> None:
    code = "import sys, ferray.data, ferray.data.__main__; sys.exit(bool({'ray', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_subset_of_the_training_images_leaves_the_other_splits_whole() -> None:
    whole = load(DataSource(images=200))
    part = load(DataSource(images=200, subset=50, subset_of="training"))
    assert part.train.images.tobytes() == whole.subset(50).train.images.tobytes()
    assert [len(part.validation), len(part.test)] == [len(whole.validation), len(whole.test)]
