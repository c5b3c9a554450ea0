"""Images of any kind: folders, tables and zips of them; what is done to them is told, and faults are named with their place."""

from __future__ import annotations

import io
import random
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ferray.data import Dataset, load
from ferray.data import form as forms
from ferray.data.dataset import content_fingerprint
from ferray.data.decoding import plain
from ferray.data_source import DataSource
from ferray.errors import DataError

GREEK = ("γάτα", "σκύλος")


def noise(seed: int, height: int = 20, width: int = 20, channels: int = 1) -> NDArray[np.uint8]:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def save(file: Path, image: Image.Image | NDArray[np.uint8], **options: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(file, **options)
    return file


def folder_of(root: Path, counts: dict[str, int], **size: int) -> Path:
    """Noise in so many images of each folder."""
    for place, count in counts.items():
        for number in range(count):
            save(root / place / f"{number}.png", noise(hash_of(place) + number, **size))
    return root


def hash_of(text: str) -> int:
    return sum(ord(letter) * 1009**place for place, letter in enumerate(text)) % 2**31


def zipped(folder: Path, file: Path, top: str = "") -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(folder.rglob("*"), reverse=True):
            archive.write(path, top + path.relative_to(folder).as_posix())
        archive.writestr(f"__MACOSX/{top}cat/._0.png", b"litter")
        archive.writestr(f"{top}.DS_Store", b"litter")
    return file


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def read(cache: Path) -> Callable[..., Dataset]:
    return lambda path, **settings: load(DataSource(source="images", path=str(path), **settings), cache=cache)


SPLIT = {"train/cat": 5, "train/dog": 7, "val/cat": 2, "val/dog": 2, "test/cat": 3, "test/dog": 1}


def counts(data: Dataset) -> dict[str, list[int]]:
    return {split: list(by_class.values()) for split, by_class in data.counts.items()}


def test_folders_of_splits_and_classes_are_taken_as_they_are(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    data = read(folder_of(tmp_path / "pets", SPLIT))
    assert (data.name, data.classes, data.image_shape) == ("pets", ("cat", "dog"), (1, 20, 20))
    assert counts(data) == {"train": [5, 7], "validation": [2, 2], "test": [3, 1]}
    np.testing.assert_array_equal(data.test.images[0, 0], noise(hash_of("test/cat")))
    assert (data.notes, data.missing, data.synthetic) == ((), {}, False)


@pytest.mark.parametrize("word", ["val", "Valid", "VALIDATION", "validation_set", "dev"])
def test_a_validation_folder_may_be_called_in_many_ways(tmp_path: Path, read: Callable[..., Dataset], word: str) -> None:
    folder = folder_of(
        tmp_path / "pets", {"Train/cat": 3, "Train/dog": 3, f"{word}/cat": 1, f"{word}/dog": 1, "TEST/cat": 1, "TEST/dog": 1}
    )
    assert counts(read(folder)) == {"train": [3, 3], "validation": [1, 1], "test": [1, 1]}


def test_every_form_of_the_same_images_gives_the_same_dataset(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    folder = folder_of(tmp_path / "pets", SPLIT)
    images = sorted(folder.rglob("*.png"))
    table = "\n".join(["\ufefffile, class ,split", *(f"{f.relative_to(folder)},{f.parent.name},{f.parent.parent.name}" for f in images)])
    listed = tmp_path / "listed"
    shutil.copytree(folder, listed)
    (listed / "labels.csv").write_text(table.replace("\n", "\r\n"), encoding="utf-8")
    (folder.parent / "around").mkdir()
    zipped(folder, folder.parent / "around" / "pets.zip")
    forms = [
        folder,
        zipped(folder, tmp_path / "plain.zip"),
        zipped(folder, tmp_path / "nested.zip", top="archive/pets/"),
        listed,
        listed / "labels.csv",
        zipped(listed, tmp_path / "listed.zip"),
        folder.parent / "around",
    ]
    assert len({read(form).fingerprint for form in forms}) == 1


def test_auto_finds_out_what_a_path_holds(tmp_path: Path, cache: Path) -> None:
    folder = folder_of(tmp_path / "pets", SPLIT)
    assert load(DataSource(path=str(folder)), cache=cache).classes == ("cat", "dog")
    assert forms.find(folder, "auto").kind == "folders"


@pytest.mark.parametrize("kind", ["seed", "fixed"])
def test_missing_splits_are_made_stratified_and_told(tmp_path: Path, read: Callable[..., Dataset], kind: str) -> None:
    data = read(folder_of(tmp_path / "pets", {"cat": 20, "dog": 60}), validation_share=0.2, test_share=0.1, validation_split=kind)
    assert counts(data) == {"train": [14, 42], "validation": [4, 12], "test": [2, 6]}
    assert "there is no test split: 8 training images (10%, stratified by class, seed 0) became it" in data.notes
    told = {
        "seed": "every seed draws its own, 16 training images (20%, stratified by class), the same for all variants",
        "fixed": "16 training images (20%, stratified by class, seed 0) became it",
    }
    assert f"there is no validation split: {told[kind]}" in data.notes
    seen = [image.tobytes() for split in data.splits.values() for image in split.images]
    assert len(set(seen)) == 80


def test_a_seed_draws_its_own_validation_split_and_leaves_the_test_split_alone(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    data = read(folder_of(tmp_path / "pets", {"cat": 20, "dog": 60}), validation_share=0.2, test_share=0.1)
    assert data.splits_by_seed
    drawn = {seed: data.for_seed(seed) for seed in (0, 1)}
    for one in drawn.values():
        assert counts(one) == counts(data)
        assert one.validation.labels.tolist() == data.validation.labels.tolist() == [0] * 4 + [1] * 12
        assert {image.tobytes() for split in one.splits.values() for image in split.images} == {
            image.tobytes() for split in data.splits.values() for image in split.images
        }
        np.testing.assert_array_equal(one.test.images, data.test.images)
        pairs = [pair for split in data.splits.values() for pair in zip(split.images, split.labels, strict=True)]
        by_image = {image.tobytes(): label for image, label in pairs}
        assert [by_image[image.tobytes()] for image in one.train.images] == one.train.labels.tolist()
        assert [by_image[image.tobytes()] for image in one.validation.images] == one.validation.labels.tolist()
    assert not np.array_equal(drawn[0].validation.images, drawn[1].validation.images)
    again = data.for_seed(0)
    np.testing.assert_array_equal(again.train.images, drawn[0].train.images)
    np.testing.assert_array_equal(again.validation.images, drawn[0].validation.images)
    assert len({data.fingerprint, again.fingerprint, drawn[1].fingerprint}) == 3
    assert again.fingerprint == drawn[0].fingerprint
    assert again.for_seed(1) is again


def test_a_split_that_is_there_or_fixed_is_that_of_all_seeds_and_its_fingerprint_that_of_the_content(
    tmp_path: Path, read: Callable[..., Dataset]
) -> None:
    there, made = folder_of(tmp_path / "there", SPLIT), folder_of(tmp_path / "made", {"cat": 20, "dog": 20})
    fixed = read(made, validation_split="fixed")
    for data in (read(there), read(there, validation_split="fixed"), fixed):
        assert not data.splits_by_seed
        assert data.for_seed(5) is data
        assert data.fingerprint == content_fingerprint(data.classes, data.splits)
        assert "validation_split" not in data.summary()
    assert read(there).fingerprint == read(there, validation_split="fixed").fingerprint
    assert read(made).fingerprint != fixed.fingerprint


def test_twins_are_looked_for_among_all_images_that_seeds_divide(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    folder = folder_of(tmp_path / "pets", {"cat": 20, "dog": 20})
    save(folder / "cat" / "copy.png", Image.open(next(iter(sorted((folder / "cat").glob("*.png"))))))
    notes = [note for note in read(folder, test_share=0.0).notes if "identical" in note]
    assert len(notes) == 1
    assert notes[0].startswith("2 of 41 images that seeds divide into training and validation are near-identical to another of them")
    assert "copy.png" in notes[0]


def test_a_part_of_the_data_is_divided_by_each_seed_too(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    whole = read(folder_of(tmp_path / "pets", {"cat": 20, "dog": 60}))
    part = whole.subset(20)
    one, other = part.for_seed(1), part.for_seed(2)
    assert len(one.train) == 20
    assert counts(one) == counts(other) == counts(part)
    assert not np.array_equal(one.validation.images, other.validation.images)


def test_made_splits_depend_on_the_seed_alone_and_not_on_the_order_of_files(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    folder = folder_of(tmp_path / "pets", {"cat": 20, "dog": 20})
    files = list(folder.rglob("*.png"))
    random.Random(1).shuffle(files)
    for file in files:
        save(tmp_path / "again" / file.relative_to(folder), Image.open(file))
    assert read(folder).fingerprint == read(tmp_path / "again").fingerprint
    assert read(folder).fingerprint != read(folder, seed=1).fingerprint
    assert read(folder).fingerprint != read(folder, validation_share=0.3).fingerprint


def test_a_seed_that_changes_nothing_finds_the_same_entry_of_the_cache(
    tmp_path: Path, read: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path / "pets", SPLIT)
    first = read(folder)
    monkeypatch.setattr("ferray.data.images.parse", lambda *given: pytest.fail("it is parsed again"))
    assert read(folder, seed=3).fingerprint == first.fingerprint


def test_without_a_share_there_is_no_test_split_and_missing_says_why(
    tmp_path: Path, read: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path / "pets", {"cat": 10, "dog": 10})
    first = read(folder, test_share=0.0)
    monkeypatch.setattr("ferray.data.images.parse", lambda *given: pytest.fail("it is parsed again"))
    for data in (first, read(folder, test_share=0.0)):
        assert len(data.test) == 0
        assert data.missing == {"test": "there is no test split, and test_share is 0"}
        assert data.subset(10).missing == data.missing


def test_test_images_without_classes_are_there_without_labels(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    folder = folder_of(tmp_path / "pets", {"train/cat": 9, "train/dog": 9, "test": 4})
    data = read(folder)
    assert data.test.labels.tolist() == [-1] * 4
    assert not data.test.labelled
    assert data.counts["test"] == {"cat": 0, "dog": 0}
    assert data.missing == {"test": "the classes of the test images are not known"}
    assert len(data.subset(8).test) == 2


def test_class_names_of_any_script_are_kept_and_sorted_by_their_characters(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    folder = folder_of(tmp_path / "pets", dict.fromkeys((*GREEK, "Ångström", "犬", "two words"), 8))
    classes = read(folder).classes
    assert classes == ("two words", "Ångström", *GREEK, "犬")
    assert read(zipped(folder, tmp_path / "pets.zip")).classes == classes


def test_a_zip_whose_names_are_utf8_without_saying_so_keeps_its_classes(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    folder = folder_of(tmp_path / "pets", dict.fromkeys(GREEK, 8))
    content = bytearray(zipped(folder, tmp_path / "pets.zip").read_bytes())
    for start, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(start)
        while place >= 0:
            content[place + flags + 1] &= 0xF7
            place = content.find(start, place + 4)
    (tmp_path / "mac.zip").write_bytes(content)
    assert read(tmp_path / "mac.zip").classes == GREEK


def test_a_zip_with_backslashes_or_a_slash_in_front_is_the_same(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    folder = folder_of(tmp_path / "pets", SPLIT)
    whole = read(folder)
    for name, written in (("dos", lambda place: place.replace("/", "\\")), ("absolute", lambda place: f"/{place}")):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for path in [folder / "train", *sorted(folder.rglob("*.png"))]:
                member = zipfile.ZipInfo("name")
                member.filename = written(path.relative_to(folder).as_posix() + "/" * path.is_dir())
                archive.writestr(member, b"" if path.is_dir() else path.read_bytes())
        assert read(tmp_path / f"{name}.zip").fingerprint == whole.fingerprint


def test_links_to_folders_are_followed_unless_they_go_in_a_circle(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    folder = folder_of(tmp_path / "pets", {"cat": 5, "dog": 5})
    (folder / "bird").symlink_to(folder_of(tmp_path / "elsewhere", {"": 5}))
    (folder / "dog" / "all").symlink_to(folder)
    data = read(folder)
    assert data.classes == ("bird", "cat", "dog")
    assert [sum(numbers) for numbers in zip(*counts(data).values(), strict=True)] == [5, 5, 5]


@pytest.mark.parametrize("top", ["training", "dev", "pets"])
def test_a_folder_around_the_splits_may_be_called_like_one(tmp_path: Path, read: Callable[..., Dataset], top: str) -> None:
    folder = folder_of(tmp_path / "here" / top, SPLIT)
    assert read(folder.parent).fingerprint == read(folder).fingerprint


def test_classes_that_differ_in_their_writing_only_are_told(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    folder = folder_of(tmp_path / "pets", {"img": 12})
    table(folder, "list.csv", ["path,label", *(f"img/{number}.png,{'Cat' if number % 2 else 'cat'}" for number in range(12))])
    assert "classes that differ in their writing only were kept apart: 'Cat' and 'cat'" in read(folder).notes


def test_a_folder_that_holds_no_image_is_told(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    folder = folder_of(tmp_path / "pets", {"cat": 5, "dog": 5})
    (folder / "bird").mkdir()
    (folder / "bird" / "1.heic").write_bytes(b"of a telephone")
    assert "folders that hold no image were left aside: bird/ (1 file: 1 .heic)" in read(folder).notes


def test_classes_that_are_numbers_are_in_their_order(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    assert read(folder_of(tmp_path / "digits", {str(digit): 4 for digit in range(11)})).classes == tuple(str(digit) for digit in range(11))


def kinds_of_images(folder: Path) -> Path:
    """One image of every kind that people have, in one class; its values are known."""
    ramp = np.linspace(0, 65535, 40 * 40).reshape(40, 40).astype(np.uint16)
    save(folder / "a" / "deep.png", Image.fromarray(ramp))
    save(folder / "a" / "deep.tif", Image.fromarray(ramp))
    save(folder / "a" / "whole.tif", Image.fromarray((ramp >> 8).astype(np.int32)))
    save(folder / "a" / "float.tif", Image.fromarray((ramp / 65535).astype(np.float32)))
    save(folder / "a" / "ink.jpg", Image.new("CMYK", (40, 40), (0, 255, 255, 0)), quality=100)
    save(folder / "a" / "palette.png", Image.new("RGB", (40, 40), (0, 0, 255)).convert("P"))
    save(folder / "a" / "palette.gif", Image.new("RGB", (40, 40), (0, 0, 255)).convert("P"))
    save(folder / "a" / "glass.png", Image.new("RGBA", (40, 40), (0, 0, 0, 0)))
    save(folder / "a" / "line.bmp", Image.new("1", (40, 40), 1))
    turned = Image.new("L", (40, 40), 0)
    turned.paste(255, (0, 0, 40, 10))  # a bright bar at the top, to be turned to the right
    exif = Image.Exif()
    exif[0x0112] = 6
    save(folder / "a" / "turned.jpg", turned, exif=exif, quality=100)
    return folder_of(folder, {"b": 10}, height=40, width=40)


def test_images_of_every_kind_become_eight_bits_and_what_was_done_is_told(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    folder = kinds_of_images(tmp_path / "all")
    for split in ("train", "val", "test"):
        shutil.copytree(folder, tmp_path / "split" / split)
    data = read(tmp_path / "split")
    assert data.image_shape == (3, 40, 40)
    names = sorted(file.name for file in (folder / "a").iterdir())
    images = dict(zip(names, data.train.images, strict=False))
    grey = np.linspace(0, 65535, 1600).reshape(40, 40)
    np.testing.assert_array_equal(images["deep.png"][0], grey.astype(np.uint16) >> 8)
    np.testing.assert_array_equal(images["deep.tif"], images["deep.png"])
    np.testing.assert_array_equal(images["whole.tif"], images["deep.png"])
    assert np.abs(images["float.tif"][0] - grey / 257).max() <= 0.51
    assert images["ink.jpg"][:, 20, 20].tolist() == pytest.approx([255, 0, 0], abs=3)
    assert images["palette.png"][:, 0, 0].tolist() == images["palette.gif"][:, 0, 0].tolist() == [0, 0, 255]
    assert images["glass.png"].min() == images["line.bmp"].min() == 255
    bar = images["turned.jpg"][0].astype(int)
    assert bar[:, 31:].min() > 240
    assert bar[:, :29].max() < 15
    for told in (
        "12 images with more than 8 bits",
        "3 images in CMYK",
        "3 images with transparency were laid on white",
        "3 images were turned",
    ):
        assert any(note.startswith(told) for note in data.notes), data.notes


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_upright_whatever_else_the_exif_data_hold(tmp_path: Path, orientation: int) -> None:
    pixels = noise(0, 4, 6)
    usual = Image.Exif()
    usual[0x0112] = orientation
    expected = ImageOps.exif_transpose(Image.open(save(tmp_path / "usual.png", pixels, exif=usual)))
    odd = (0x0106, 2, 1, b"abcd")  # text where a whole number belongs, which Pillow reads and cannot write
    entries = struct.pack("<HHHI4sHHIHH", 2, *odd, 0x0112, 3, 1, orientation, 0)
    with Image.open(save(tmp_path / "odd.png", pixels, exif=b"Exif\0\0II*\0\x08\0\0\0" + entries + bytes(4))) as image:
        upright, kinds = plain(image)
        np.testing.assert_array_equal(np.asarray(upright), np.asarray(expected))
    assert bool(kinds) == (orientation > 1)


def test_images_are_grey_where_all_are_and_the_color_may_be_told(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    folder = folder_of(tmp_path / "pets", {"cat": 10, "dog": 10})
    assert read(folder).image_shape == (1, 20, 20)
    assert read(folder, color="rgb").image_shape == (3, 20, 20)
    save(folder / "cat" / "x.png", noise(1, channels=3))
    assert read(folder).image_shape == (3, 20, 20)
    grey = read(folder, color="grey")
    assert grey.image_shape == (1, 20, 20)
    assert "colour images were turned grey" in grey.notes
    expected = np.asarray(Image.fromarray(noise(1, channels=3)).convert("L"))
    assert any(np.array_equal(image[0], expected) for split in grey.splits.values() for image in split.images)


@pytest.mark.parametrize(("side", "kept"), [(8, 8), (128, 128), (129, 64)])
def test_a_square_size_that_all_share_is_kept_if_it_is_no_larger_than_128(
    tmp_path: Path, read: Callable[..., Dataset], side: int, kept: int
) -> None:
    data = read(folder_of(tmp_path / "pets", {"cat": 5, "dog": 5}, height=side, width=side))
    assert data.image_shape == (1, kept, kept)
    assert any("resized" in note for note in data.notes) == (kept != side)


def test_other_sizes_become_squares_and_the_way_is_told(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    wide = Image.new("L", (60, 20), 100)
    wide.paste(255, (0, 0, 10, 20))
    folder = folder_of(tmp_path / "pets", {"train/a": 4, "train/b": 4, "val/a": 1, "val/b": 1, "test/b": 1})
    save(folder / "test" / "a" / "wide.png", wide)
    shown = {}
    for way in ("crop", "pad", "stretch"):
        data = read(folder, resize=way, image_size=20)
        shown[way] = data.test.images[0, 0].astype(int)
    assert shown["crop"].max() == 100
    assert (shown["pad"][0].max(), shown["pad"][10, 0]) == (0, 255)
    assert (shown["stretch"][10, 0], shown["stretch"][10, 19]) == (255, 100)
    assert read(folder).notes[-1] == (
        "the images were resized from 2 sizes between 20x20 and 60x20 to 64x64 pixels; where they were no squares, the middle was kept"
    )


def table(folder: Path, name: str, lines: list[str]) -> Path:
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "lines",
    [
        ["path,label", "img/0.png,x", "img/1.png,y", "img/2.png,x", "img/3.png,y"],
        ["id;target", "0;x", "1;y", "2;x", "3;y"],
        ["Image Name\tSpecies", "0.png\tx", "1.png\ty", "2.png\tx", "3.png\ty"],
        ["target,filename,width", "x,.\\img\\0.png,3", "y,img\\1.png,3", "x,img/2.png,3", "y,./img/3.png,3"],
        ["image,what it is", "img/0.png,x", "img/1.png,y", "img/2.png,x", "img/3.png,y"],
    ],
)
def test_tables_are_understood_generously(tmp_path: Path, read: Callable[..., Dataset], lines: list[str]) -> None:
    folder = table(folder_of(tmp_path / "pets", {"img": 4}), "list.csv", lines)
    data = read(folder, validation_share=0.4, test_share=0.0)
    assert counts(data) == {"train": [1, 1], "validation": [1, 1], "test": [0, 0]}


def test_a_table_for_each_split_is_understood_and_the_last_may_lack_labels(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    folder = folder_of(tmp_path / "pets", {"img": 6})
    table(folder, "train.csv", ["id,label", "0,x", "1,y"])
    table(folder, "val.csv", ["id,label", "2,x", "3,y"])
    table(folder, "test.csv", ["id", "4"])
    data = read(folder)
    assert counts(data) == {"train": [1, 1], "validation": [1, 1], "test": [0, 0]}
    assert data.test.labels.tolist() == [-1]
    assert "images that are not listed were left aside (1): img/5.png" in data.notes


def test_a_name_that_several_images_have_is_that_in_the_folder_of_its_split(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    folder = folder_of(tmp_path / "pets", {"train": 8, "test": 8})
    table(folder, "train.csv", ["id,label", *(f"{number},{'ab'[number % 2]}" for number in range(8))])
    table(folder, "test.csv", ["id", *map(str, range(8))])
    data = read(folder)
    assert {split: len(part) for split, part in data.splits.items()} == {"train": 6, "validation": 2, "test": 8}
    np.testing.assert_array_equal(data.test.images[3, 0], np.asarray(Image.open(folder / "test" / "3.png")))
    table(folder, "train.csv", ["id,label,split", *(f"{number},{'ab'[number % 2]},val" for number in range(8))])
    with pytest.raises(DataError, match=r"line 2: '0' may be any of test/0\.png, train/0\.png \(8 such rows\); write paths"):
        read(folder / "train.csv")


def test_a_corrupt_image_is_named_counted_and_left_out(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    folder = folder_of(tmp_path / "pets", {"cat": 12, "dog": 12})
    (folder / "cat" / "3.png").write_bytes((folder / "cat" / "3.png").read_bytes()[:90])
    (folder / "dog" / "4.png").write_bytes(b"")
    data = read(folder)
    assert sum(len(split) for split in data.splits.values()) == 22
    told = next(note for note in data.notes if "cannot be read" in note)
    assert told.startswith("2 of 24 images cannot be read and were left out: cat/3.png (")
    assert "dog/4.png (" in told


def test_what_is_no_image_is_ignored_and_where_it_is_much_told(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    folder = folder_of(tmp_path / "pets", {"cat": 6, "dog": 6})
    (folder / "cat" / ".hidden.png").write_bytes(b"x")
    (folder / "cat" / "Thumbs.db").write_bytes(b"x")
    (folder / "README.md").write_text("x")
    (folder / ".git" / "x").mkdir(parents=True)
    before = read(folder)
    for number in range(20):
        (folder / "cat" / f"{number}.txt").write_text("x")
    data = read(folder)
    assert data.fingerprint == before.fingerprint
    assert not any("no images" in note for note in before.notes)
    assert "files that are no images were left aside (21 files: 20 .txt, 1 .md)" in data.notes


def test_near_identical_images_on_both_sides_of_a_split_are_told(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    folder = folder_of(tmp_path / "pets", SPLIT, height=40, width=40)
    original = np.asarray(Image.fromarray(noise(7, 6, 6)).resize((40, 40), Image.Resampling.BICUBIC))
    save(folder / "train" / "cat" / "x.png", original)
    save(folder / "test" / "dog" / "x.jpg", (original * 0.8 + 20).astype(np.uint8), quality=70)
    (note,) = read(folder).notes
    assert note == (
        "1 of 5 test images is near-identical to a training image, 1 of them of another class; for example test/dog/x.jpg and "
        "train/cat/x.png"
    )


def test_a_class_of_training_that_others_lack_is_told(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    folder = folder_of(tmp_path / "pets", {"train/cat": 3, "train/dog": 3, "val/cat": 1, "test/cat": 1, "test/dog": 1})
    assert read(folder).notes == ("validation has no image of dog",)


def with_table(*lines: str) -> Callable[[Path], Path]:
    return lambda folder: table(folder_of(folder / "pets", {"img": 4}), "list.csv", list(lines))


def of_folders(**counts: int) -> Callable[[Path], Path]:
    return lambda folder: folder_of(folder / "pets", {place.replace("_", "/"): count for place, count in counts.items()})


def with_empty(place: str, counts: dict[str, int]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        root = folder_of(folder / "pets", counts)
        (root / place).mkdir()
        return root

    return make


def unreadable(share: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        root = folder_of(folder / "pets", {"cat": 40, "dog": 2})
        for file in (root / share).iterdir():
            file.write_bytes(b"no image")
        return root

    return make


def damaged_zip(folder: Path) -> Path:
    file = zipped(folder_of(folder / "pets", {"cat": 5, "dog": 5}), folder / "pets.zip")
    file.write_bytes(file.read_bytes()[:-300])
    return file


def two_zips(folder: Path) -> Path:
    for name in ("a", "b"):
        zipped(folder_of(folder / "pets", {"cat": 5, "dog": 5}), folder / f"{name}.zip")
    shutil.rmtree(folder / "pets")
    return folder


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "missing", "missing: no such file or folder"),
        (lambda folder: folder, "holds no image (it is empty); accepted are: a folder with one folder of images per class"),
        (of_folders(img=4), "has one class only, 'img'"),
        (lambda folder: folder_of(folder, {"": 3}), "its images lie in no class folders (0.png, 1.png, 2.png)"),
        (of_folders(val_cat=3, test_cat=3), "there is test/, val/ but no train/"),
        (of_folders(train_cat=3, val_cat=3, valid_cat=3), "both val/ and valid/ may be validation"),
        (of_folders(train_cat=3, train_dog=3, test_dgo=3), "has images of class 'dgo', but there is none to train on; did you mean 'dog'"),
        (of_folders(cat_train=5, cat_test=5, dog_train=5, dog_test=5), "the folders of splits lie in those of classes, as cat/test/; put"),
        (of_folders(cat=2, dog=9), "class 'cat' has 2 training images, too few to make validation and test from"),
        (with_empty("train/bird", SPLIT), "class folder train/bird/ holds no image (it is empty)"),
        (with_empty("bird", {"cat": 5, "dog": 5}), "class folder bird/ is empty"),
        (unreadable("cat"), "40 of 42 images cannot be read: cat/0.png (is no PNG, JPEG, BMP, GIF, TIFF, WEBP or PPM), cat/1.png (is no"),
        (unreadable("dog"), "no image of class 'dog' can be read: dog/0.png ("),
        (damaged_zip, "pets.zip: damaged or unreadable zip"),
        (two_zips, "holds several data sets, a.zip, b.zip; give the path of one of them"),
        (with_table("path,label", "img/0.png,x", "img/9.png,y", "img/8.png,y"), "list.csv, line 3: there is no image 'img/9.png'"),
        (with_table("path,label", "img/0.png,x", "img/0.png,y"), "line 3: names 'img/0.png' again, which list.csv line 2 has"),
        (with_table("path,label", "img/0.png,x", "img/1.png"), "list.csv, line 3: 1 field, but the header has 2"),
        (with_table("path,label", "img/0.png,x", "img/1.png,"), "img/1.png have no class; only all of test may be without classes"),
        (with_table("path,label,split", "img/0.png,x,train", "img/1.png,x,tset"), "must be train, validation or test, not 'tset'; did"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_a_reason(
    tmp_path: Path, read: Callable[..., Dataset], cache: Path, make: Callable[[Path], Path], message: str
) -> None:
    (tmp_path / "here").mkdir()
    with pytest.raises(DataError) as raised:
        read(make(tmp_path / "here"))
    assert message in str(raised.value)
    assert not any(cache.rglob("*.npy"))


def test_a_table_of_something_else_is_refused_with_its_columns(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    table(tmp_path, "prices.csv", ["day,price", "1,2"])
    with pytest.raises(DataError, match=r"prices\.csv, line 1: no column of paths and one of labels \(found: day, price\)"):
        read(tmp_path / "prices.csv")


def test_settings_without_effect_are_refused(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    with pytest.raises(DataError, match=r"data\.image_size: has no effect on synthetic faces"):
        load(DataSource(image_size=32))
    with pytest.raises(DataError, match=r"data\.images: is for synthetic faces; subset"):
        read(folder_of(tmp_path / "pets", SPLIT), images=100)


def test_an_image_that_claims_to_be_gigabytes_is_not_decoded(tmp_path: Path, read: Callable[..., Dataset]) -> None:
    folder = folder_of(tmp_path / "pets", {"cat": 12, "dog": 12})
    stream = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(stream, "PNG")
    (folder / "cat" / "0.png").write_bytes(stream.getvalue())
    assert any("cat/0.png (has 12000x12000 pixels, more than 100,000,000)" in note for note in read(folder).notes)


def test_a_file_that_unpacks_to_too_many_bytes_is_not_read(
    tmp_path: Path, read: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path / "pets", {"cat": 12, "dog": 12})
    (folder / "cat" / "0.png").write_bytes(bytes(2000))
    monkeypatch.setattr("ferray.data.decoding.MOST_BYTES", 1500)
    for form in (folder, zipped(folder, tmp_path / "pets.zip")):
        assert any("cat/0.png (has 2,000 bytes, more than 1,500)" in note for note in read(form).notes)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, read: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path / "pets", SPLIT)

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"pets.test.cat.0\.png: cannot be read \(Permission denied\)"):
        read(folder)


def test_the_result_does_not_depend_on_the_number_of_threads(
    tmp_path: Path, read: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(tmp_path / "pets", {"cat": 30, "dog": 30}, height=50, width=70)
    first = read(folder)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    shutil.rmtree(tmp_path / "cache")
    assert read(folder).fingerprint == first.fingerprint
