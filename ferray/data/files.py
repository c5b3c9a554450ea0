"""Files: what a data source consists of, in a folder or in a zip, without what archivers and file browsers leave behind."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import IO, TextIO

from ferray.errors import DataError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm"}
TABLE_SUFFIXES = {".csv", ".tsv"}
LITTER = {"__MACOSX", "Thumbs.db", "desktop.ini"}
UTF8_FLAG = 0x800
"""Set in a zip for names in UTF-8; some archivers write UTF-8 without it."""


class Files:
    """A source's files by their place, a path with slashes below ``path``, which is a folder or a zip.

    ``places`` and ``folders`` are sorted, so that nothing depends on the order in which a file system or zip lists them. Reading may
    go on in several threads at once. ``only`` takes a few files of a folder that need no search. Raises DataError where the folder or
    zip cannot be read.
    """

    def __init__(self, path: Path, only: Sequence[str] | None = None) -> None:
        self.path = path
        self.places: list[str] = []
        self.folders: list[str] = []
        self._zip: zipfile.ZipFile | None = None
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._state: list[list[object]] = []
        with _faults(path):
            if only is not None:
                self.places = sorted(only)
                self._state = [_state(place, (path / place).stat()) for place in self.places]
            elif path.is_dir():
                self._list_folder(path)
            elif zipfile.is_zipfile(path):
                self._list_zip(path)
            else:
                raise DataError(f"{path}: damaged or unreadable zip: it has no table of contents; was it downloaded whole?")

    def _list_folder(self, path: Path) -> None:
        found = list(_below(path, ""))
        self.places = sorted(place for place, state in found if state is not None)
        self.folders = sorted(place for place, state in found if state is None)
        self._state = sorted(_state(place, state) for place, state in found if state is not None)

    def _list_zip(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path)
        named = {_name(item): item for item in self._zip.infolist()}
        listed = {place: item for place, item in named.items() if not is_litter(place)}
        self._members = {place: item for place, item in listed.items() if not place.endswith("/")}
        self.places = sorted(self._members)
        folders = {place.rpartition("/")[0] for place in listed}
        self.folders = sorted({str(above) for folder in folders for above in (folder, *PurePosixPath(folder).parents)} - {"", "."})
        self._state = [_state(path.name, path.stat())]

    @property
    def is_zip(self) -> bool:
        """Whether the files lie in a zip."""
        return self._zip is not None

    @property
    def state(self) -> list[list[object]]:
        """What changes when a file does: name, size in bytes and time in nanoseconds of each, of a zip those of the zip."""
        return self._state

    def where(self, place: str) -> str:
        """How a file is called in messages."""
        return str(self.path / place)

    def read(self, place: str, most: int | None = None) -> bytes:
        """A file's content. Raises ValueError, before it is read, where it has more than so many bytes."""
        with _faults(self.path):
            if most is not None:
                size = (self.path / place).stat().st_size if self._zip is None else self._members[place].file_size
                if size > most:
                    raise ValueError(f"has {size:,} bytes, more than {most:,}")
            return (self.path / place).read_bytes() if self._zip is None else self._zip.read(self._members[place])

    def start(self, place: str, size: int = 65536) -> bytes:
        """The first so many bytes of a file."""
        with _faults(self.path), self._open(place) as stream:
            return stream.read(size)

    @contextmanager
    def text(self, place: str) -> Iterator[TextIO]:
        """Opens a file as UTF-8 text, with or without a byte-order mark, its line ends as they are."""
        with _faults(self.path), self._open(place) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
            yield text

    def of(self, suffixes: set[str]) -> list[str]:
        """The places of all files with one of these suffixes."""
        return [place for place in self.places if f".{place.rpartition('.')[2].lower()}" in suffixes]

    def _open(self, place: str) -> IO[bytes]:
        return (self.path / place).open("rb") if self._zip is None else self._zip.open(self._members[place])


def is_litter(place: str) -> bool:
    """Whether archivers and file browsers leave such a file behind, or it is hidden."""
    return any(part in LITTER or part.startswith(".") for part in place.split("/"))


def kinds(places: Iterable[str]) -> str:
    """How many files there are, by their suffixes, as in ``3 files: 2 .txt, 1 .md``."""
    counted = Counter(PurePosixPath(place).suffix.lower() or "no suffix" for place in places)
    if not counted:
        return "it is empty"
    total = counted.total()
    return f"{total:,} file{'s' if total > 1 else ''}: " + ", ".join(f"{count:,} {kind}" for kind, count in counted.most_common(4))


def examples(names: Iterable[str], most: int = 3) -> str:
    """The first few of many names, as a part of a sentence."""
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most:,} more" if len(listed) > most else "")


def _below(folder: Path, place: str, above: frozenset[str] = frozenset()) -> Iterator[tuple[str, os.stat_result | None]]:
    """Every file below a folder with its state, and every folder with None; links that lead back up are left."""
    above |= {os.path.realpath(folder)}
    with os.scandir(folder) as found:
        for item in found:
            if is_litter(item.name):
                continue
            below = f"{place}/{item.name}" if place else item.name
            if item.is_dir():
                if not item.is_symlink() or os.path.realpath(item.path) not in above:
                    yield below, None
                    yield from _below(Path(item.path), below, above)
            elif item.is_file():
                yield below, item.stat()


def _name(item: zipfile.ZipInfo) -> str:
    """A member's place below the zip; some archivers of Windows write backslashes, others a slash in front."""
    name = item.filename
    if not item.flag_bits & UTF8_FLAG:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return (name if "/" in name else name.replace("\\", "/")).lstrip("/")


def _state(name: str, found: os.stat_result) -> list[object]:
    return [name, found.st_size, found.st_mtime_ns]


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    """Names the folder or zip in whatever goes wrong with it."""
    try:
        yield
    except DataError:
        raise
    except (zipfile.BadZipFile, EOFError, zlib.error, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{path}: damaged or unreadable zip: {error}") from error
    except OSError as error:
        raise DataError(f"{error.filename or path}: cannot be read ({error.strerror or error})") from error
