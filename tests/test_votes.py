"""FER+ votes: found for each image, carried wherever it goes, and never mixed into labels or scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_fer2013 import csv_rows, encoded, make_csv, make_tree, pair, written

from ferray.data import Dataset, load
from ferray.data.dataset import CLASSES
from ferray.data_source import DataSource
from ferray.errors import DataError

HEADER = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
ORDER = ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear")
REMOVED = 5
"""The row that the authors took out."""


def votes_file(folder: Path, rows: list[str] | None = None) -> Path:
    """Row n gives n votes to the label of its image, and one for contempt."""
    return written(folder / "fer2013new.csv", HEADER, rows or vote_rows(), end="\r\n", mark="\ufeff")


def vote_rows() -> list[str]:
    rows = []
    for number, (label, _, usage) in enumerate(csv_rows()[1:]):
        counts = [number if name == CLASSES[int(label)] else 0 for name in ORDER]
        name = "" if number == REMOVED else f"fer{number:07d}.png"
        rows.append(",".join(map(str, [usage, name, *counts, 1, 0, 0])))
    return rows


def read(path: Path, votes: Path, **settings: object) -> Dataset:
    source = DataSource.model_validate({"path": str(path), "votes": str(votes), **settings})
    return load(source, cache=path.parent / "cache")


def check(data: Dataset) -> None:
    """Every image's votes are for its label, and zero where the authors took it out."""
    for split in data.splits.values():
        assert split.votes is not None
        assert split.votes.dtype == np.float32
        for label, votes in zip(split.labels, split.votes, strict=True):
            if label >= 0:
                assert set(np.flatnonzero(votes)) <= {label}


def test_votes_follow_the_rows_of_the_table_and_change_no_label(tmp_path: Path) -> None:
    table, votes = make_csv(tmp_path / "fer2013.csv"), votes_file(tmp_path)
    data, plain = read(table, votes), load(DataSource(path=str(table)), cache=tmp_path / "cache")
    check(data)
    assert data.train.votes is not None
    assert data.test.votes is not None
    assert data.train.votes.sum(1).tolist() == [0 if row == REMOVED else row for row in range(21)]
    assert data.test.votes.sum(1).tolist() == list(range(28, 42))
    assert data.train.labels.tolist() == plain.train.labels.tolist()
    assert (data.summary()["votes"], plain.summary()["votes"]) == (True, False)
    assert data.fingerprint != plain.fingerprint
    assert data.notes[0] == (
        "FER+ votes were read for 42 images; 2 have none for one of the classes, 1 of them since the authors of FER+ took them out; the "
        "votes change neither labels nor scores"
    )


def test_votes_come_from_the_cache_and_go_into_a_subset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, votes = make_csv(tmp_path / "fer2013.csv"), votes_file(tmp_path)
    first = read(table, votes)
    monkeypatch.setattr("ferray.data.fer2013.parse", lambda form: pytest.fail("it is parsed again"))
    assert read(table, votes).fingerprint == first.fingerprint
    check(read(table, votes, subset=14))


def test_changed_votes_are_read_anew(tmp_path: Path) -> None:
    table, votes = make_csv(tmp_path / "fer2013.csv"), votes_file(tmp_path)
    first = read(table, votes)
    votes_file(tmp_path, [row.replace("fer0000009.png", "") for row in vote_rows()])
    assert read(table, votes).fingerprint != first.fingerprint


def test_votes_of_a_pair_follow_its_training_images_into_the_splits_that_are_made(tmp_path: Path) -> None:
    data = read(pair(tmp_path / "pair", "contest"), votes_file(tmp_path), validation_share=0.34)
    check(data)
    assert data.test.votes is not None
    assert data.test.votes.sum(1).tolist() == list(range(21, 42))


def test_votes_of_training_images_alone_need_no_test(tmp_path: Path) -> None:
    (pair(tmp_path / "pair", "contest") / "test.csv").unlink()
    check(read(tmp_path / "pair", votes_file(tmp_path), validation_share=0.34, test_share=0.33))


def test_images_named_by_their_row_have_votes_in_any_folder(tmp_path: Path) -> None:
    names = {}
    for number, (label, pixels, usage) in enumerate(csv_rows()[1:]):
        names[usage, pixels] = (number, CLASSES[int(label)])
    split = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
    for (usage, pixels), (number, name) in names.items():
        folder = tmp_path / "named" / split[usage] / name
        folder.mkdir(parents=True, exist_ok=True)
        image = np.array(pixels.split(), np.uint8).reshape(48, 48)
        (folder / f"fer{number:07d}.png").write_bytes(encoded(image))
    check(read(tmp_path / "named", votes_file(tmp_path)))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (vote_rows()[:-1], "has votes for 41 images (21 of training), but there are 42"),
        (vote_rows()[::-1], "the votes for fer2013.csv line 2 are of usage 'PrivateTest', but it is in train (Training)"),
        ([*vote_rows()[:3], "Training,fer0000003.png,0,0"], "line 5: 4 fields, but the header has 12"),
        ([*vote_rows()[:3], "Training,fer0000003.png,-1,0,0,0,0,0,0,0,0,0"], "line 5: votes must be whole numbers from 0 on, not 0, 0"),
    ],
)
def test_votes_that_are_not_of_these_images_are_refused(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(DataError) as raised:
        read(make_csv(tmp_path / "fer2013.csv"), votes_file(tmp_path, rows))
    assert message in str(raised.value)
    assert "fer2013new.csv" in str(raised.value)


def test_votes_for_other_labels_are_those_of_other_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferray.data.votes.ENOUGH", 39)
    rows = vote_rows()
    check(read(make_csv(tmp_path / "fer2013.csv"), votes_file(tmp_path, rows)))
    shuffled = [*rows[6:21], *rows[:6], *rows[21:]]
    monkeypatch.setattr("ferray.data.votes.AGREEMENT", 0.6)
    with pytest.raises(DataError, match=r"the most votes are for the label of 21 of 40 images only; the images must stand in the order"):
        read(make_csv(tmp_path / "fer2013.csv"), votes_file(tmp_path, shuffled))


def test_votes_cannot_be_assigned_to_names_that_tell_no_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"votes cannot be assigned to train/angry/Training_0\.png: they follow the rows of fer2013\.csv"):
        read(make_tree(tmp_path / "tree"), votes_file(tmp_path))


def test_a_file_of_votes_that_is_none_is_named(tmp_path: Path) -> None:
    table = make_csv(tmp_path / "fer2013.csv")
    with pytest.raises(DataError, match=r"fer2031new\.csv: no such file; did you mean 'fer2013new\.csv'"):
        read(table, votes_file(tmp_path).with_name("fer2031new.csv"))
    with pytest.raises(DataError, match=r"line 1: no column 'anger' \(found: emotion, pixels, Usage\)"):
        read(table, table)
