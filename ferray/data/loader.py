"""Loaders of the user's own: what they return, checked and turned into a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ferray import code
from ferray.data.dataset import SPLITS, UNKNOWN, Dataset, Split
from ferray.data.decoding import plain
from ferray.data.images import in_order
from ferray.data.parts import Parts, assemble
from ferray.data_source import DataSource
from ferray.errors import DataError, nearest

RETURNS = (
    "a loader returns a ferray Dataset, or a mapping with train and, if there are, validation, test and classes; each split is a pair "
    "(images, labels) of arrays, or a sequence of (image, label) pairs"
)
COPIED = "; a loader runs from a copy of its file, so __file__ does not lead to the data: set data.path, and take it as argument path"
EPSILON = 1e-3
"""So far may numbers lie outside 0..1, as rounding leaves them."""


@dataclass(frozen=True)
class _Read:
    images: NDArray[np.uint8]
    labels: list[int | str | None]
    classes: Sequence[str] | None  # as a torchvision data set tells them


def load(source: DataSource, folders: Sequence[Path], path: Path | None) -> Dataset:
    """Calls the loader and makes a data set of what it returns, with the splits that it lacks made as for other sources.

    It gets ``source.arguments`` and, where there is one, the path as ``path``. Nothing is cached: the fingerprint of the content is the
    identity. Raises ConfigError where there is no such function, DataError where it fails or returns something else.
    """
    called = code.find(source.source, folders).load()
    arguments = source.arguments if path is None else {"path": str(path), **source.arguments}
    returned = _call(source.source, called, arguments)
    if isinstance(returned, Dataset):
        return _checked(returned)
    return assemble(_parts(source.source, returned), source)


def _checked(given: Dataset) -> Dataset:
    """The same data set with a fingerprint that is of its content, whatever the loader wrote there: trials are found again by it."""
    return given.with_splits(given.splits)


def _call(reference: str, called: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    try:
        return called(**arguments)
    except Exception as error:
        given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        folder = Path(getattr(getattr(called, "__code__", None), "co_filename", "")).parent
        hint = COPIED if folder.is_absolute() and str(folder) in str(error) else ""
        raise DataError(f"{reference}: called as {called.__name__}({given[:200]}), it raised {code.told(error)}{hint}") from error


def _parts(reference: str, returned: Any) -> Parts:
    if not isinstance(returned, Mapping):
        raise DataError(f"{reference}: returned a {type(returned).__name__}; {RETURNS}")
    known = (*SPLITS, "classes")
    for name in returned:
        if name not in known:
            raise DataError(f"{reference}: returned {name!r}{nearest(str(name), known)}; {RETURNS}")
    if returned.get("train") is None:
        raise DataError(f"{reference}: returned no train; {RETURNS}")
    read = {name: _read(f"{reference}: {name}", returned[name], name) for name in SPLITS if returned.get(name) is not None}
    told = read["train"].classes if returned.get("classes") is None else returned["classes"]
    classes = _class_names(reference, told, read["train"])
    are_places = told is not None and all(isinstance(label, int) and 0 <= label < len(classes) for label in read["train"].labels)
    splits, names, missing = {}, {}, {}
    for name, part in read.items():
        if name == "test" and not len(part.images):
            missing["test"] = "the loader's test split is empty"
            splits[name] = Split(part.images.reshape(0, *read["train"].images.shape[1:]), np.zeros(0, np.int64))
        else:
            splits[name] = Split(part.images, _numbers(f"{reference}: {name}", part.labels, classes, are_places))
        names[name] = [f"{name}[{number}]" for number in range(len(part.images))]
    if "test" in splits and len(splits["test"]) and not splits["test"].labelled:
        missing["test"] = "the loader gives no labels for the test images"
    return Parts(reference, reference, tuple(str(name) for name in classes), splits, names, missing=missing)


def _read(where: str, given: Any, split: str) -> _Read:
    named = getattr(given, "classes", None)
    classes = [str(name) for name in named] if isinstance(named, list | tuple) else None
    if isinstance(given, tuple | list) and len(given) == 2 and not isinstance(given[0], tuple):
        images, labels = given
        if labels is None and split == "test":
            read = _images(where, images)
            return _Read(read, [None] * len(read), classes)
        if labels is None:
            raise DataError(f"{where}: has no labels; only test may be without them")
        read = _images(where, images)
        try:
            told = _plain(labels)
        except ValueError as error:
            raise DataError(f"{where}: the labels do not make one array ({error}); {RETURNS}") from error
        if told.ndim != 1 or len(told) != len(read):
            raise DataError(f"{where}: labels must be [{len(read)}], one for each image, not {list(told.shape)}")
        return _Read(read, [_label(where, label) for label in told], classes)
    if not (hasattr(given, "__len__") and hasattr(given, "__getitem__")):
        raise DataError(f"{where}: is a {type(given).__name__}; {RETURNS}")
    pictures: list[NDArray[Any]] = []
    labels = []
    for number in range(len(given)):
        try:
            pair = given[number]
        except Exception as error:
            raise DataError(f"{where}[{number}]: it raised {code.told(error)}") from error
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise DataError(f"{where}[{number}]: is a {type(pair).__name__}, not a pair (image, label)")
        picture = _plain(pair[0])
        if pictures and picture.shape != pictures[0].shape:
            shapes = f"{list(picture.shape)}, but the first one {list(pictures[0].shape)}"
            raise DataError(f"{where}[{number}]: the image is {shapes}; all must have one size")
        pictures.append(picture)
        labels.append(None if pair[1] is None and split == "test" else _label(f"{where}[{number}]", pair[1]))
    if not pictures:
        return _Read(np.zeros((0, 1, 1, 1), np.uint8), [], classes)
    return _Read(_images(where, np.stack(pictures)), labels, classes)


def _plain(value: Any) -> NDArray[Any]:
    """An array of whatever was given: an array, a tensor on any device, a PIL image, or lists of these."""
    if isinstance(value, Image.Image):
        return np.asarray(plain(value)[0])
    if hasattr(value, "detach"):  # a torch tensor
        value = value.detach().cpu()
    if isinstance(value, list | tuple) and value and (hasattr(value[0], "detach") or isinstance(value[0], Image.Image)):
        return np.stack([_plain(one) for one in value])
    return np.asarray(value)


def _images(where: str, given: Any) -> NDArray[np.uint8]:
    """The images as uint8 [n, channels, height, width], whichever way round they were."""
    try:
        images = _plain(given)
    except ValueError as error:
        raise DataError(f"{where}: the images do not make one array ({error}); all must have one size") from error
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4:
        raise DataError(
            f"{where}: images must be [n, height, width], [n, height, width, channels] or [n, channels, height, width], not "
            f"{list(images.shape)}"
        )
    is_last = images.shape[3] in (1, 3) and images.shape[1] not in (1, 3)
    if not is_last and images.shape[1] not in (1, 3):
        raise DataError(f"{where}: images must have 1 or 3 channels, in the second or the last place of {list(images.shape)}")
    return np.ascontiguousarray(_eight_bits(where, np.moveaxis(images, 3, 1) if is_last else images))


def _eight_bits(where: str, images: NDArray[Any]) -> NDArray[np.uint8]:
    if images.dtype == np.uint8 or not images.size:
        return np.asarray(images, np.uint8)
    if images.dtype.kind not in "iuf":
        raise DataError(f"{where}: images must be numbers, uint8 or of 0..1, not {images.dtype}")
    low, high = images.min(), images.max()
    if images.dtype.kind in "iu":
        if low < 0 or high > 255:
            raise DataError(f"{where}: whole numbers of images must lie in 0..255, not {low}..{high}")
        return images.astype(np.uint8)
    if not (low >= -EPSILON and high <= 1 + EPSILON):
        raise DataError(
            f"{where}: images with a fraction must lie in 0..1, not {low:.4g}..{high:.4g}; give them before any normalization, which is "
            "ferray's part"
        )
    scaled: NDArray[np.float64] = np.rint(np.clip(images, 0, 1).astype(np.float64) * 255)
    return scaled.astype(np.uint8)


def _label(where: str, given: Any) -> int | str:
    value = _plain(given)
    if value.ndim == 0 and value.dtype.kind in "iu":
        return int(value)
    if value.ndim == 0 and value.dtype.kind in "US":
        return str(value)
    raise DataError(f"{where}: a label is a whole number or a class's name, not {value.tolist()!r}")


def _class_names(reference: str, given: Any, train: _Read) -> tuple[str, ...]:
    """The classes as the loader, or a torchvision data set, names them; else the labels themselves."""
    if given is None:
        return in_order({str(label) for label in train.labels})
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise DataError(f"{reference}: classes must be a list of names, not a {type(given).__name__}")
    names = tuple(str(name) for name in given)
    if len(set(names)) < len(names):
        raise DataError(f"{reference}: classes must differ, not {', '.join(names)}")
    return names


def _numbers(where: str, labels: Sequence[int | str | None], classes: Sequence[str], are_places: bool) -> NDArray[np.int64]:
    """Labels as places among the classes; numbers are places, or else names where the names are numbers."""
    by_name = {name: number for number, name in enumerate(classes)}
    are_names = not are_places and all(name.lstrip("-").isdecimal() for name in classes)
    numbers = []
    for place, label in enumerate(labels):
        if label is None:
            numbers.append(UNKNOWN)
        elif isinstance(label, str) or are_names:
            if str(label) not in by_name:
                near = nearest(str(label), classes)
                raise DataError(f"{where}[{place}]: {label!r} is no class{near}; there are {', '.join(list(classes)[:20])}")
            numbers.append(by_name[str(label)])
        elif 0 <= label < len(classes):
            numbers.append(label)
        else:
            raise DataError(f"{where}[{place}]: label {label} must lie in 0..{len(classes) - 1}, the places of the classes")
    return np.array(numbers, np.int64)
