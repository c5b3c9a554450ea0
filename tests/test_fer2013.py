"""FER2013: every accepted form gives the same dataset, faults are named with their place, and the cache is safe."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
import shutil
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ferray.data import Dataset, entry_of, load, located
from ferray.data import cache as caches
from ferray.data.dataset import CLASSES
from ferray.data_source import DataSource
from ferray.errors import DataError

REAL = Path(__file__).parents[2] / "shared" / "fer2013" / "fer2013.zip"
USAGES = {"Training": ("train", 3), "PublicTest": ("test", 1), "PrivateTest": ("test", 2)}

Pixels = NDArray[np.uint8]


def pictures() -> dict[str, Pixels]:
    """Random images by the place that FER2013's folder tree would give them; their ids are the same in all classes."""
    generator = np.random.default_rng(0)
    places = [
        f"{folder}/{name}/{usage}_{number}.png" for usage, (folder, count) in USAGES.items() for name in CLASSES for number in range(count)
    ]
    return {place: generator.integers(0, 256, (48, 48), np.uint8) for place in places}


def encoded(pixels: Pixels) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def make_tree(folder: Path) -> Path:
    for place, pixels in pictures().items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(encoded(pixels))
    return folder


def make_zip(path: Path, top: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for place, pixels in sorted(pictures().items(), reverse=True):
            archive.writestr(top + place, encoded(pixels))
        archive.writestr(f"{top}.DS_Store", b"litter")
        archive.writestr("__MACOSX/train/happy/Training_0.png", b"litter")
        archive.writestr(f"{top}train/happy/._Training_0.png", b"litter")
        archive.writestr(f"{top}README.txt", b"about the images")
    return path


def csv_rows() -> list[list[str]]:
    rows = [["emotion", "pixels", "Usage"]]
    for place, pixels in sorted(pictures().items(), key=lambda item: (list(USAGES).index(usage_of(item[0])), label_of(item[0]), item[0])):
        rows.append([str(label_of(place)), " ".join(map(str, pixels.ravel())), usage_of(place)])
    return rows


def usage_of(place: str) -> str:
    return Path(place).name.partition("_")[0]


def label_of(place: str) -> int:
    return CLASSES.index(Path(place).parent.name)


def make_csv(path: Path, rows: list[list[str]] | None = None) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows or csv_rows())
    return path


def read(path: Path, cache: Path, **settings: Any) -> Dataset:
    return load(DataSource(source="fer2013", path=str(path), **settings), cache=cache)


def entry(path: Path, cache: Path) -> Path:
    source = DataSource(source="fer2013", path=str(path))
    return entry_of(source, located(source), cache=cache)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def test_public_test_becomes_validation_and_private_test_becomes_test(tmp_path: Path, cache: Path) -> None:
    data = read(make_tree(tmp_path / "faces"), cache)
    assert data.classes == CLASSES
    assert not data.synthetic
    assert {name: set(counts.values()) for name, counts in data.counts.items()} == {"train": {3}, "validation": {1}, "test": {2}}
    expected = pictures()["test/sad/PublicTest_0.png"]
    row = int(np.flatnonzero(data.validation.labels == CLASSES.index("sad"))[0])
    np.testing.assert_array_equal(data.validation.images[row, 0], expected)
    assert data.image_shape == (1, 48, 48)


def test_every_form_gives_the_same_dataset(tmp_path: Path, cache: Path) -> None:
    table = make_csv(tmp_path / "fer2013.csv")
    zipped_table = tmp_path / "table.zip"
    with zipfile.ZipFile(zipped_table, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(table, "fer2013/fer2013.csv")
    spaced = [[f" {name}" for name in csv_rows()[0]], *csv_rows()[1:]]
    holder = tmp_path / "holder"
    holder.mkdir()
    make_zip(holder / "fer2013.zip")
    forms = [
        make_tree(tmp_path / "tree"),
        make_zip(tmp_path / "plain.zip"),
        make_zip(tmp_path / "nested.zip", top="archive/fer2013/"),
        table,
        zipped_table,
        make_csv(tmp_path / "spaced.csv", spaced),
        holder,
    ]
    assert len({read(form, cache).fingerprint for form in forms}) == 1


def written(path: Path, header: str, rows: list[str], *, end: str = "\n", mark: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((mark + end.join([header, *rows]) + end).encode())
    return path


def pair(folder: Path, form: str, *, labels: bool = False) -> Path:
    """The images as the contest, or the course, gave them out: training, and both tests in one file without labels."""
    rows = csv_rows()[1:]
    train = [row for row in rows if row[2] == "Training"]
    test = [row for row in rows if row[2] != "Training"]
    if form == "contest":
        written(folder / "train.csv", "emotion,pixels", [f'{label},"{pixels}"' for label, pixels, _ in train], end="\r\n", mark="\ufeff")
        header, lines = ("emotion,pixels", [f"{row[0]},{row[1]}" for row in test]) if labels else ("pixels", [row[1] for row in test])
        written(folder / "test.csv", header, lines, end="\r\n")
    else:
        written(folder / "train.csv", "label,feature", [f"{label},{pixels}" for label, pixels, _ in train])
        written(folder / "test.csv", "id,feature", [f"{number},{row[1]}" for number, row in enumerate(test)])
    return folder


def test_the_table_with_spaces_in_its_header_and_another_order_is_the_same_set(tmp_path: Path, cache: Path) -> None:
    rows = [f"{label},{usage},{pixels}" for label, pixels, usage in csv_rows()[1:]]
    table = written(tmp_path / "icml" / "icml_face_data.csv", "emotion, Usage, pixels", rows, end="\r\n", mark="\ufeff")
    expected = read(make_csv(tmp_path / "fer2013.csv"), cache).fingerprint
    assert read(table, cache).fingerprint == read(table.parent, cache).fingerprint == expected


def test_the_contest_and_the_course_gave_out_the_same_pair_without_test_labels(tmp_path: Path, cache: Path) -> None:
    contest, course = pair(tmp_path / "contest", "contest"), pair(tmp_path / "course", "course")
    data = read(contest, cache, validation_share=0.34)
    assert data.counts["train"] == dict.fromkeys(CLASSES, 2)
    assert data.counts["validation"] == dict.fromkeys(CLASSES, 1)
    assert data.test.labels.tolist() == [-1] * 21
    assert not data.test.labelled
    assert data.missing == {"test": "test.csv has no labels (its columns are pixels)"}
    assert data.splits_by_seed
    told = "there is no validation split: every seed draws its own, 7 training images (34%, stratified by class), the same for all variants"
    assert told in data.notes
    assert read(course, cache, validation_share=0.34).fingerprint == data.fingerprint
    assert read(contest / "train.csv", cache, validation_share=0.34).fingerprint == data.fingerprint
    assert read(contest, cache, validation_share=0.34, seed=1).fingerprint != data.fingerprint
    assert data.summary()["missing"] == data.missing


def test_test_labels_are_used_where_the_pair_has_them(tmp_path: Path, cache: Path) -> None:
    data = read(pair(tmp_path, "contest", labels=True), cache, validation_share=0.34)
    assert data.counts["test"] == dict.fromkeys(CLASSES, 3)
    assert data.missing == {}


def test_training_images_alone_give_all_three_splits(tmp_path: Path, cache: Path) -> None:
    (pair(tmp_path, "contest") / "test.csv").unlink()
    data = read(tmp_path, cache, validation_share=0.34, test_share=0.33)
    assert {name: set(counts.values()) for name, counts in data.counts.items()} == {"train": {1}, "validation": {1}, "test": {1}}
    assert len([note for note in data.notes if note.startswith("there is no")]) == 2
    alone = read(tmp_path, cache, validation_share=0.34, test_share=0.0)
    assert (len(alone.train), len(alone.test)) == (14, 0)
    assert alone.missing == {"test": "there is no test split, and test_share is 0"}


def test_tables_without_pixels_beside_the_given_one_are_left_aside(tmp_path: Path, cache: Path) -> None:
    table = make_csv(tmp_path / "train.csv", [row[:2] for row in csv_rows()])
    alone = read(table, cache).fingerprint
    make_csv(tmp_path / "test.csv", [["id"], ["1"]])
    make_csv(tmp_path / "training.csv", [row[:2] for row in csv_rows()][:9])
    assert read(table, cache).fingerprint == alone


def test_a_folder_or_zip_that_holds_several_tables_gives_the_whole_one(tmp_path: Path, cache: Path) -> None:
    pair(tmp_path / "all", "contest")
    make_csv(tmp_path / "all" / "icml_face_data.csv")
    written(tmp_path / "all" / "example_submission.csv", "emotion", ["0", "1"])
    with zipfile.ZipFile(tmp_path / "kaggle.zip", "w") as archive:
        for file in (tmp_path / "all").iterdir():
            archive.write(file, f"challenge/{file.name}")
    data = read(tmp_path / "all", cache)
    assert len(data.validation) == 7
    assert "icml_face_data.csv was read; test.csv, train.csv beside it was not" in data.notes
    assert read(tmp_path / "kaggle.zip", cache).fingerprint == data.fingerprint


def test_fer2013_is_found_out_whatever_it_is_called(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "table").mkdir()
    make_csv(tmp_path / "table" / "faces v2.CSV")
    (tmp_path / "zip").mkdir()
    make_zip(tmp_path / "zip" / "archive (1).zip", top="fer/")
    forms = [tmp_path / "table", tmp_path / "zip", make_tree(tmp_path / "tree")]
    assert {load(DataSource(path=str(form)), cache=cache).name for form in forms} == {"FER2013"}
    assert len({load(DataSource(path=str(form)), cache=cache).fingerprint for form in forms}) == 1


def test_fields_for_images_of_any_kind_are_refused(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(DataError, match=r"data\.color: has no effect on FER2013"):
        read(make_tree(tmp_path / "tree"), cache, color="rgb")
    with pytest.raises(DataError, match=r"data\.images: is for synthetic faces"):
        read(tmp_path / "tree", cache, images=100)


def test_a_changed_pixel_or_label_changes_the_fingerprint(tmp_path: Path, cache: Path) -> None:
    rows = csv_rows()
    before = read(make_csv(tmp_path / "a.csv", rows), cache).fingerprint
    pixels = rows[1][1].split()
    rows[1][1] = " ".join([str(255 - int(pixels[0])), *pixels[1:]])
    assert read(make_csv(tmp_path / "b.csv", rows), cache).fingerprint != before
    rows = csv_rows()
    rows[1][0] = "6"
    assert read(make_csv(tmp_path / "c.csv", rows), cache).fingerprint != before


def with_field(column: int, value: str) -> list[list[str]]:
    rows = csv_rows()
    rows[3][column] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (with_field(0, "7"), "line 4: emotion must be a whole number in 0..6, not '7'"),
        (with_field(0, "sad"), "line 4: emotion must be a whole number in 0..6, not 'sad'"),
        (with_field(1, "1 2 3"), "line 4: 3 pixels, but an image has 2304"),
        (with_field(1, ""), "line 4: "),
        (with_field(1, "256 " + "0 " * 2303), "line 4: pixels must lie in 0..255, not 256"),
        (with_field(1, "-1 " + "0 " * 2303), "line 4: pixels must lie in 0..255, not -1"),
        (with_field(1, "0.5 " + "0 " * 2303), "line 4: pixels must be whole numbers"),
        (with_field(1, "a " + "0 " * 2303), "line 4: pixels must be whole numbers"),
        (with_field(2, "Test"), "line 4: Usage must be Training, PublicTest, PrivateTest, not 'Test'"),
        ([*csv_rows(), ["0", "1"]], "line 44: 2 fields, but the header has 3"),
        ([["emotion", "pixels"], ["0", "1"]], "line 2: 1 pixels, but an image has 2304"),
        ([["pixels", "Usage"], ["0", "Training"]], "line 1: no column emotion or label (found: pixels, Usage)"),
        ([["emotion", "pixels", "Usage"]], "has no row below its header"),
        (csv_rows()[:22], "holds no PublicTest image"),
    ],
)
def test_a_fault_in_a_csv_is_named_with_its_line(tmp_path: Path, cache: Path, rows: list[list[str]], message: str) -> None:
    with pytest.raises(DataError) as raised:
        read(make_csv(tmp_path / "faces.csv", rows), cache)
    assert message in str(raised.value)
    assert "faces.csv" in str(raised.value)
    assert not any(cache.rglob("*.npy"))


def empty_csv(folder: Path) -> Path:
    (folder / "empty.csv").touch()
    return folder / "empty.csv"


def binary_csv(folder: Path) -> Path:
    (folder / "binary.csv").write_bytes(b"\xff\xfe\x00")
    return folder / "binary.csv"


def text_file(folder: Path) -> Path:
    (folder / "faces.txt").write_text("faces", encoding="utf-8")
    return folder / "faces.txt"


def empty_folder(folder: Path) -> Path:
    (folder / "nothing").mkdir()
    return folder / "nothing"


def folder_of_text(folder: Path) -> Path:
    (folder / "notes").mkdir()
    (folder / "notes" / "a.txt").touch()
    return folder / "notes"


def unknown_class(folder: Path) -> Path:
    tree = make_tree(folder / "tree")
    (tree / "train" / "angry").rename(tree / "train" / "angri")
    return tree


def unknown_usage(folder: Path) -> Path:
    tree = make_tree(folder / "tree")
    (tree / "train" / "sad" / "Training_0.png").rename(tree / "train" / "sad" / "face.png")
    return tree


def wrong_size(folder: Path) -> Path:
    tree = make_tree(folder / "tree")
    Image.new("L", (40, 30)).save(tree / "train" / "sad" / "Training_0.png")
    return tree


def damaged_image(folder: Path) -> Path:
    tree = make_tree(folder / "tree")
    (tree / "train" / "sad" / "Training_0.png").write_bytes(encoded(np.zeros((48, 48), np.uint8))[:60])
    return tree


def disguised(folder: Path, kind: str) -> Path:
    tree = make_tree(folder / "tree")
    Image.new("L", (48, 48)).save(tree / "train" / "sad" / "Training_0.png", kind)
    return tree


def bomb(folder: Path) -> Path:
    """An image that says of itself to have 10 billion pixels."""
    tree = make_tree(folder / "tree")
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (tree / "train" / "sad" / "Training_0.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)
    return tree


def twice_the_same(folder: Path) -> Path:
    tree = make_tree(folder / "tree")
    shutil.copytree(tree / "train", tree / "copy")
    return tree


def damaged_zip(folder: Path) -> Path:
    path = make_zip(folder / "faces.zip")
    content = bytearray(path.read_bytes())
    content[200:260] = bytes(60)
    path.write_bytes(content)
    return path


def without_tests(folder: Path) -> Path:
    tree = make_tree(folder / "tree")
    shutil.rmtree(tree / "test")
    return tree


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "missing.zip", "missing.zip: no such file or folder"),
        (empty_csv, "line 1: no column pixels (found: nothing)"),
        (binary_csv, "cannot be read as CSV text"),
        (text_file, "neither a folder, a zip nor a .csv file; accepted are: fer2013.zip"),
        (empty_folder, "holds no image of FER2013 (it is empty); accepted are: "),
        (folder_of_text, "(1 file: 1 .txt)"),
        (unknown_class, "'angri' is no class; did you mean 'angry'?"),
        (unknown_usage, "face.png: the file name must begin with Training_, PublicTest_, PrivateTest_"),
        (wrong_size, "sad/Training_0.png: must be 48x48 pixels, not 40x30; source: images reads images of any size"),
        (damaged_image, "sad/Training_0.png: cannot be decoded as a PNG or JPEG image"),
        (lambda folder: disguised(folder, "BMP"), "sad/Training_0.png: cannot be decoded as a PNG or JPEG image"),
        (lambda folder: disguised(folder, "TIFF"), "sad/Training_0.png: cannot be decoded as a PNG or JPEG image"),
        (bomb, "sad/Training_0.png: cannot be decoded as a PNG or JPEG image"),
        (lambda folder: folder / ("x" * 300), "cannot be read (File name too long)"),
        (twice_the_same, "the same image occurs twice"),
        (damaged_zip, "faces.zip"),
        (lambda folder: make_csv(folder / "test.csv", [row[:2] for row in csv_rows()]), "test.csv: is not training, by its name"),
        (without_tests, "holds no PublicTest image"),
    ],
)
def test_what_is_not_fer2013_is_refused_with_a_reason(tmp_path: Path, cache: Path, make: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(DataError) as raised:
        read(make(tmp_path), cache)
    assert message in str(raised.value)
    assert not any(cache.rglob("*.npy"))


def test_a_misspelt_path_names_its_neighbour(tmp_path: Path, cache: Path) -> None:
    make_zip(tmp_path / "fer2013.zip")
    with pytest.raises(DataError, match=r"did you mean 'fer2013\.zip'"):
        read(tmp_path / "fer2103.zip", cache)


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refuse)
    with pytest.raises(DataError, match=r"closed.fer2013\.zip: cannot be read \(Permission denied\)"):
        read(tmp_path / "closed" / "fer2013.zip", cache)


def test_a_home_folder_that_does_not_exist_is_named(cache: Path) -> None:
    with pytest.raises(DataError, match="~nobody-here/fer2013: there is no such user's home folder"):
        read(Path("~nobody-here/fer2013"), cache)


def test_without_a_path_the_environment_says_where_the_set_lies(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FERRAY_FER2013", raising=False)
    with pytest.raises(DataError, match="--data PATH"):
        load(DataSource(source="fer2013"), cache=cache)
    monkeypatch.setenv("FERRAY_FER2013", str(make_csv(tmp_path / "fer2013.csv")))
    assert load(DataSource(source="fer2013"), cache=cache).name == "FER2013"


def test_the_second_start_reads_the_cache_alone_as_read_only_maps(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_csv(tmp_path / "fer2013.csv")
    first = read(path, cache)
    monkeypatch.setattr("ferray.data.fer2013.parse", lambda source: pytest.fail(f"{source} is parsed again"))
    second = read(path, cache)
    assert second.fingerprint == first.fingerprint
    for split in second.splits.values():
        assert isinstance(split.images, np.memmap)
        assert not split.images.flags.writeable
        assert split.images.flags.c_contiguous


def test_a_changed_source_is_parsed_anew(tmp_path: Path, cache: Path) -> None:
    path = make_csv(tmp_path / "fer2013.csv")
    before = read(path, cache).fingerprint
    make_csv(path, with_field(0, "6"))
    os.utime(path, ns=(1, 1))
    assert read(path, cache).fingerprint != before
    tree = make_tree(tmp_path / "tree")
    assert read(tree, cache).fingerprint == before
    (tree / "train" / "sad" / "Training_0.png").unlink()
    assert read(tree, cache).fingerprint != before


@pytest.mark.parametrize("name", ["data.json", "train_images.npy", "test_labels.npy"])
@pytest.mark.parametrize("fault", ["missing", "cut", "garbage", "flipped"])
def test_a_damaged_cache_is_rebuilt(tmp_path: Path, cache: Path, name: str, fault: str) -> None:
    path = make_csv(tmp_path / "fer2013.csv")
    fingerprint = read(path, cache).fingerprint
    file = entry(path, cache) / name
    content = bytearray(file.read_bytes())
    if fault == "missing":
        file.unlink()
    elif fault == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif fault == "garbage":
        file.write_bytes(b"\x80garbage")
    else:
        content[-4] ^= 1
        file.write_bytes(content)
    data = read(path, cache)
    assert data.fingerprint == fingerprint
    assert data.test.labels.tolist() == sorted(data.test.labels.tolist())
    assert caches.read(entry(path, cache), verify=True) is not None
    assert [made.name for made in (cache / "data").iterdir()] == [entry(path, cache).name]


def _fingerprint_of(path: Path, cache: Path) -> str:
    return read(path, cache).fingerprint


def test_several_processes_at_once_make_one_entry(tmp_path: Path, cache: Path) -> None:
    path = make_csv(tmp_path / "fer2013.csv")
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        fingerprints = pool.starmap(_fingerprint_of, [(path, cache)] * 8)
    assert len(set(fingerprints)) == 1
    assert len(list((cache / "data").iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot be written .*FERRAY_CACHE"):
        read(make_csv(tmp_path / "fer2013.csv"), tmp_path / "file")


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FERRAY_CACHE", str(tmp_path / "here"))
    assert caches.default_folder() == tmp_path / "here"
    monkeypatch.delenv("FERRAY_CACHE")
    assert caches.default_folder().name == "ferray"


@pytest.mark.skipif(not REAL.is_file(), reason="the real FER2013 is not beside this checkout (../shared/fer2013/fer2013.zip)")
def test_the_real_set_is_whole_and_starts_fast_from_the_cache(tmp_path: Path) -> None:
    read(REAL, tmp_path)
    start = time.perf_counter()
    data = read(REAL, tmp_path)
    assert time.perf_counter() - start < 2
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 28709, "validation": 3589, "test": 3589}
    in_all = {name: sum(counts[name] for counts in data.counts.values()) for name in CLASSES}
    assert in_all == {"angry": 4953, "disgust": 547, "fear": 5121, "happy": 8989, "sad": 6077, "surprise": 4002, "neutral": 6198}
    assert data.counts["train"] == {
        "angry": 3995, "disgust": 436, "fear": 4097, "happy": 7215, "sad": 4830, "surprise": 3171, "neutral": 4965,
    }  # fmt: skip
    description = json.loads((entry(REAL, tmp_path) / "data.json").read_text(encoding="utf-8"))
    assert description == data.summary()
    part = load(DataSource(source="fer2013", path=str(REAL), subset=2000), cache=tmp_path)
    assert (len(part.train), len(part.validation), len(part.test)) == (2000, 250, 250)
