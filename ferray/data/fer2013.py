"""FER2013 from the zip or the folder tree of images, and from the official fer2013.csv.

The set is that of Goodfellow et al., "Challenges in Representation Learning: A report on three machine learning contests", 2013. Its
public test becomes the validation split, its private test the test split.
"""

from __future__ import annotations

import csv
import io
import itertools
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TextIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ferray.data import cache as caches
from ferray.data.dataset import CLASSES, SPLITS, Dataset, Split
from ferray.errors import DataError, nearest

NAME = "FER2013"
SIZE = 48
PIXELS = SIZE * SIZE
SPLIT_OF_USAGE = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png"}
COLUMNS = ("emotion", "pixels", "Usage")

ACCEPTED = (
    "accepted are: fer2013.zip or the folder unzipped from it, with files such as train/happy/Training_123.jpg, "
    "test/happy/PublicTest_123.jpg and test/happy/PrivateTest_123.jpg; fer2013.csv with the columns emotion, pixels and Usage, plain "
    "or in a zip; a folder that holds fer2013.csv or fer2013.zip"
)


class Member(NamedTuple):
    """One image file: sorted, members come in the order of their splits, classes and names, whatever holds them."""

    split: int
    label: int
    name: str
    place: str  # where it lies, for reading and for messages


def load(path: Path, *, cache: Path | None = None, verify: bool = True) -> Dataset:
    """FER2013 in any accepted form, from the cache where it has been parsed before.

    ``verify`` compares a cached copy with its fingerprint before use. Raises DataError that names the fault and its place.
    """
    source = locate(path)
    try:
        entry = caches.entry_of(source, cache)
        cached = caches.read(entry, verify=verify)
        if cached is None:
            caches.write(entry, parse(source))
            cached = caches.read(entry, verify=False)
    except OSError as error:
        raise DataError(f"{error.filename or source}: cannot be read ({error.strerror or error})") from error
    if cached is None:
        raise DataError(f"{entry}: the cache cannot be read back after writing; name another folder in FERRAY_CACHE")
    return cached


def locate(path: Path) -> Path:
    """The file to read, or the folder of images: a folder may hold fer2013.csv or, looked for next, fer2013.zip.

    Raises DataError where there is nothing, or nothing that may be looked at.
    """
    try:
        if not path.exists():
            siblings = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
            raise DataError(f"{path}: no such file or folder{nearest(path.name, siblings)}; {ACCEPTED}")
        if path.is_dir():
            for name in ("fer2013.csv", "fer2013.zip"):
                if (path / name).is_file():
                    return path / name
    except OSError as error:  # a name that is too long, or a folder that may not be read
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error
    return path


def parse(source: Path) -> Dataset:
    """Reads a located source without the cache. Takes seconds; raises DataError that names the fault and its place."""
    if source.is_dir():
        places = [file.relative_to(source).as_posix() for file, _ in caches.files_below(source)]
        return _from_images(source, places, lambda place: (source / place).read_bytes())
    if source.suffix.lower() == ".csv":
        with source.open(encoding="utf-8-sig", newline="") as stream:
            return _from_csv(str(source), stream)
    if zipfile.is_zipfile(source):
        return _from_zip(source)
    raise DataError(f"{source}: neither a folder, a zip nor a .csv file; {ACCEPTED}")


def _from_zip(source: Path) -> Dataset:
    try:
        with zipfile.ZipFile(source) as archive:
            places = [item.filename for item in archive.infolist() if not item.is_dir()]
            tables = [place for place in places if PurePosixPath(place).name.lower() == "fer2013.csv" and not _is_litter(place)]
            if tables:
                with archive.open(tables[0]) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
                    return _from_csv(f"{source}/{tables[0]}", text)
            return _from_images(source, places, archive.read)
    except (zipfile.BadZipFile, EOFError, zlib.error, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{source}: damaged or unreadable zip: {error}") from error


def _from_images(source: Path, places: list[str], read: Callable[[str], bytes]) -> Dataset:
    images = [place for place in places if PurePosixPath(place).suffix.lower() in IMAGE_SUFFIXES and not _is_litter(place)]
    if not images:
        raise DataError(f"{source}: holds no image of FER2013 ({_found(places)}); {ACCEPTED}")
    members = sorted(_member(source, place) for place in images)
    for one, other in itertools.pairwise(members):
        if one[:3] == other[:3]:
            raise DataError(f"{source}: the same image occurs twice: {one.place} and {other.place}")
    pixels = np.empty((len(members), 1, SIZE, SIZE), np.uint8)
    for row, member in zip(pixels, members, strict=True):
        row[0] = _decode(f"{source}/{member.place}", read(member.place))
    return _assemble(source, pixels, [member.split for member in members], [member.label for member in members])


def _member(source: Path, place: str) -> Member:
    path = PurePosixPath(place)
    usage = path.name.partition("_")[0]
    if usage not in SPLIT_OF_USAGE:
        raise DataError(f"{source}/{place}: the file name must begin with {', '.join(f'{usage}_' for usage in SPLIT_OF_USAGE)}")
    folder = path.parent.name.lower()
    if folder not in CLASSES:
        raise DataError(f"{source}/{place}: {path.parent.name!r} is no class{nearest(folder, CLASSES)}; classes are {', '.join(CLASSES)}")
    return Member(SPLITS.index(SPLIT_OF_USAGE[usage]), CLASSES.index(folder), path.name, place)


def _decode(where: str, content: bytes) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
            width, height = image.size
            grey = np.asarray(image.convert("L")) if image.size == (SIZE, SIZE) else None  # others may be too large to decode
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{where}: cannot be decoded as a PNG or JPEG image ({error})") from error
    if grey is None:
        raise DataError(f"{where}: must be {SIZE}x{SIZE} pixels, not {width}x{height}")
    return grey


def _from_csv(where: str, stream: TextIO) -> Dataset:
    splits: list[int] = []
    labels: list[int] = []
    rows: list[NDArray[np.uint8]] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # how NumPy reports text that it cannot read as numbers
        for line, emotion, pixels, usage in _csv_rows(where, stream):
            if usage not in SPLIT_OF_USAGE:
                raise DataError(f"{where}, line {line}: Usage must be {', '.join(SPLIT_OF_USAGE)}, not {usage!r}")
            if emotion not in {str(label) for label in range(len(CLASSES))}:
                raise DataError(f"{where}, line {line}: emotion must be a whole number in 0..{len(CLASSES) - 1}, not {emotion!r}")
            splits.append(SPLITS.index(SPLIT_OF_USAGE[usage]))
            labels.append(int(emotion))
            rows.append(_pixels(f"{where}, line {line}", pixels))
    if not rows:
        raise DataError(f"{where}: has no row below its header")
    return _assemble(where, np.stack(rows).reshape(-1, 1, SIZE, SIZE), splits, labels)


def _csv_rows(where: str, stream: TextIO) -> Iterator[tuple[int, str, str, str]]:
    """Line number, emotion, pixels and usage of each row."""
    reader = csv.reader(stream)
    try:
        header = [name.strip() for name in next(reader, [])]
        if missing := [name for name in COLUMNS if name not in header]:
            found = ", ".join(header[:8])[:200] or "nothing"
            raise DataError(f"{where}, line 1: no column {', '.join(missing)} (found: {found}); the columns must be {', '.join(COLUMNS)}")
        places = [header.index(name) for name in COLUMNS]
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise DataError(f"{where}, line {reader.line_num}: {len(row)} fields, but the header has {len(header)}")
            emotion, pixels, usage = (row[place].strip() for place in places)
            yield reader.line_num, emotion, pixels, usage
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{where}, line {reader.line_num}: cannot be read as CSV text ({error})") from error


def _pixels(where: str, text: str) -> NDArray[np.uint8]:
    try:
        values = np.fromstring(text, np.int64, sep=" ")
    except (DeprecationWarning, ValueError):
        raise DataError(f"{where}: pixels must be whole numbers separated by spaces, not {text[:40]!r}...") from None
    if len(values) != PIXELS:
        raise DataError(f"{where}: {len(values)} pixels, but an image has {PIXELS} ({SIZE}x{SIZE})")
    if values.min() < 0 or values.max() > 255:
        raise DataError(f"{where}: pixels must lie in 0..255, not {values[(values < 0) | (values > 255)][0]}")
    return values.astype(np.uint8)


def _assemble(where: object, pixels: NDArray[np.uint8], splits: list[int], labels: list[int]) -> Dataset:
    split_of, label_of = np.array(splits), np.array(labels, np.int64)
    parts = {}
    for number, (usage, name) in enumerate(SPLIT_OF_USAGE.items()):
        mine = np.flatnonzero(split_of == number)
        if not len(mine):
            raise DataError(f"{where}: holds no {usage} image; FER2013 has {', '.join(SPLIT_OF_USAGE)} in one file or folder")
        parts[name] = Split(pixels[mine], label_of[mine])
    return Dataset.build(NAME, CLASSES, parts, synthetic=False)


def _is_litter(place: str) -> bool:
    """What archivers and file browsers leave behind."""
    return any(part == "__MACOSX" or part.startswith(".") for part in PurePosixPath(place).parts)


def _found(places: Iterable[str]) -> str:
    kinds = Counter(PurePosixPath(place).suffix.lower() or "no suffix" for place in places)
    if not kinds:
        return "it is empty"
    total = sum(kinds.values())
    return f"{total:,} file{'s' if total > 1 else ''}: " + ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(4))
