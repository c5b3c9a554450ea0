"""Decoding: image files of any kind, size and colour as squares of 8 bits."""

from __future__ import annotations

import io
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ferray.data.files import Files
from ferray.errors import DataError

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
MOST_KEPT = 128
"""A square size that all images share is kept up to this many pixels a side."""

USUAL = 64
"""Pixels a side that images of other sizes get, unless told."""

MOST_PIXELS = 100_000_000
"""Of an image of more pixels than these nothing is decoded: a few bytes can claim to be gigabytes."""

MOST_BYTES = 500_000_000
"""A larger file is not read: in a zip it may be a few bytes that unpack to many."""

BACKGROUND = (255, 255, 255)
"""What shows through transparent images."""

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, by its orientation in the EXIF data. Pillow's own function writes these anew, which odd ones forbid."""

HOW = {"crop": "the middle was kept", "pad": "black was added", "stretch": "they were distorted"}

Out = TypeVar("Out")


@dataclass
class Decoded:
    """Images as uint8 [n, 1 or 3, size, size], the places of those that could not be read with the reason, and what was done."""

    images: NDArray[np.uint8]
    faults: dict[int, str]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Picture:
    pixels: NDArray[np.uint8]  # [size, size, 3]
    size: tuple[int, int]
    kinds: tuple[str, ...]  # what about it was unusual


def decode(
    files: Files,
    places: Sequence[str],
    *,
    size: int | None,
    resize: Literal["crop", "pad", "stretch"],
    color: Literal["auto", "grey", "rgb"],
) -> Decoded:
    """Decodes the images in their order, several at once, with the same result whatever the number of threads."""
    if size is None:
        size = _common_size(files, places)
    images = np.zeros((len(places), 3, size, size), np.uint8)
    faults: dict[int, str] = {}
    sizes: Counter[tuple[int, int]] = Counter()
    unusual: Counter[str] = Counter()

    def picture(place: str) -> _Picture | str:
        return _read(files, place, size, resize)

    for number, read in enumerate(_in_threads(picture, places)):
        if isinstance(read, str):
            faults[number] = read
            continue
        images[number] = read.pixels.transpose(2, 0, 1)
        sizes[read.size] += 1
        unusual.update(read.kinds)
    is_grey = _are_grey(images)
    if color == "grey" or (color == "auto" and is_grey):
        images = images[:, :1].copy() if is_grey else _luma(images)
    notes = []
    if set(sizes) - {(size, size)}:
        between = f"{len(sizes)} sizes between {_times(min(sizes))} and {_times(max(sizes))}" if len(sizes) > 1 else _times(min(sizes))
        proportions = f"; where they were no squares, {HOW[resize]}" if any(width != height for width, height in sizes) else ""
        notes.append(f"the images were resized from {between} to {size}x{size} pixels{proportions}")
    if color == "grey" and not is_grey:
        notes.append("colour images were turned grey")
    notes += [f"{count:,} image{'s' if count > 1 else ''} {kind}" for kind, count in sorted(unusual.items())]
    return Decoded(images, faults, notes)


def plain(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """An image upright, in RGB or L with 8 bits, and what about it was unusual. Raises ValueError for values that have no range."""
    kinds = []
    turn = UPRIGHT.get(image.getexif().get(0x0112, 1))
    if turn is not None:
        kinds.append("were turned upright, as their EXIF data say")
        image = image.transpose(turn)
    if image.mode.startswith(("I", "F")):
        kinds.append("with more than 8 bits were reduced to 8")
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    elif image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        kinds.append("with transparency were laid on white")
        above = image.convert("RGBA")
        image = Image.new("RGB", image.size, BACKGROUND)
        image.paste(above, mask=above.getchannel("A"))
    elif image.mode == "CMYK":
        kinds.append("in CMYK were turned into RGB")
    if image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return image, tuple(kinds)


def _eight_bits(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Of 16-bit values the upper 8, of 32-bit ones too unless all lie in 0..255; of others whichever range they have."""
    if values.dtype.kind == "f":
        low, high = float(values.min()), float(values.max())
        if not (low >= 0 and high <= 255):
            raise ValueError(f"its values lie in {low:g}..{high:g}; numbers with a fraction must lie in 0..1 or 0..255")
        return np.rint(np.asarray(values, np.float64) * (255 if high <= 1 else 1)).astype(np.uint8)
    whole = np.asarray(values, np.int64)
    if whole.min() < 0 or whole.max() > 65535:
        raise ValueError(f"its values lie in {whole.min()}..{whole.max()}; whole numbers must lie in 0..65535")
    is_small = values.dtype.itemsize > 2 and whole.max() <= 255
    return (whole if is_small else whole >> 8).astype(np.uint8)


def _common_size(files: Files, places: Sequence[str]) -> int:
    found = {size for size in _in_threads(lambda place: _size(files, place), places) if size is not None}
    width, height = next(iter(found), (0, 0))
    return width if len(found) == 1 and width == height and 0 < width <= MOST_KEPT else USUAL


def _size(files: Files, place: str) -> tuple[int, int] | None:
    try:
        with _opened(files.read(place, MOST_BYTES)) as image:
            return image.size if image.getexif().get(0x0112, 1) < 5 else image.size[::-1]
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def _read(files: Files, place: str, size: int, resize: str) -> _Picture | str:
    """A picture, or why there is none."""
    try:
        with _opened(files.read(place, MOST_BYTES)) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                return f"has {width}x{height} pixels, more than {MOST_PIXELS:,}"
            if image.format == "JPEG":
                image.draft(None, (2 * size, 2 * size))  # a photograph is decoded at the least scale that is still twice as large
            upright, kinds = plain(image)
            turned = (width, height) if (upright.width > upright.height) == (width > height) else (height, width)
            squared = _square(upright, size, resize)
            return _Picture(np.asarray(squared.convert("RGB")), turned, kinds)
    except DataError:
        raise
    except UnidentifiedImageError:
        return f"is no {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        return str(error).partition(" <")[0] or type(error).__name__  # Pillow names the object in memory


def _square(image: Image.Image, size: int, resize: str) -> Image.Image:
    if image.size == (size, size):
        return image
    method = Image.Resampling.BICUBIC
    if resize == "stretch":
        return image.resize((size, size), method)
    if resize == "pad":
        return ImageOps.pad(image, (size, size), method, color=0)
    return ImageOps.fit(image, (size, size), method)


def _opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content), formats=FORMATS)


def _in_threads(task: Callable[[str], Out], places: Iterable[str]) -> Iterator[Out]:
    """The task's results in the order of the places; decoding lets other threads run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MOST_PIXELS answers for it
        warnings.filterwarnings("ignore", category=UserWarning, module="PIL")  # of odd metadata, which nobody reads here
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            yield from pool.map(task, places)


def _are_grey(images: NDArray[np.uint8]) -> bool:
    parts = (images[start : start + 1024] for start in range(0, len(images), 1024))
    return all(bool((part == part[:, :1]).all()) for part in parts)


def _luma(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey as Pillow has it: ITU-R 601-2."""
    red, green, blue = (images[:, channel].astype(np.uint32) for channel in range(3))
    return ((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16).astype(np.uint8)[:, None]


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
