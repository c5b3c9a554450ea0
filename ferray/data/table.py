"""Tables: CSV files with their line numbers, whatever their delimiter, byte-order mark, line ends and spaces in headers."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ferray.data.files import Files
from ferray.errors import DataError

DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Table:
    """A CSV file's place and its header; rows are read when they are asked for."""

    files: Files
    place: str
    header: tuple[str, ...]
    delimiter: str

    @property
    def where(self) -> str:
        """How the file is called in messages."""
        return self.files.where(self.place)

    @property
    def names(self) -> list[str]:
        """The columns' names as they are compared: lower case, words joined by underscores."""
        return [normalized(name) for name in self.header]

    def column(self, names: Sequence[str]) -> int | None:
        """Which column has one of the names; the first name that there is counts."""
        known = self.names
        return next((known.index(name) for name in names if name in known), None)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Every row that is not empty, with the number of the line on which it ends; fields have no spaces around them.

        Raises DataError where a row has another number of fields than the header, or is no CSV text.
        """
        with self.files.text(self.place) as stream:
            reader = csv.reader(stream, delimiter=self.delimiter)
            try:
                next(reader, None)
                for row in reader:
                    if not row:
                        continue
                    if len(row) != len(self.header):
                        raise DataError(f"{self.where}, line {reader.line_num}: {len(row)} fields, but the header has {len(self.header)}")
                    yield reader.line_num, [field.strip() for field in row]
            except (csv.Error, UnicodeDecodeError) as error:
                raise DataError(f"{self.where}, line {reader.line_num + 1}: cannot be read as CSV text ({error})") from error


def read_header(files: Files, place: str) -> Table:
    """The table at a place. Raises DataError where its first line is no text."""
    head = re.split(rb"[\r\n]", files.start(place), maxsplit=1)[0]
    try:
        line = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{files.where(place)}, line 1: cannot be read as CSV text ({error})") from error
    delimiter = max(DELIMITERS, key=line.count)
    header = next(csv.reader([line], delimiter=delimiter), [])
    return Table(files, place, tuple(name.strip() for name in header), delimiter)


def normalized(name: str) -> str:
    """A column's name as it is compared."""
    return name.strip().casefold().replace(" ", "_").replace("-", "_")
