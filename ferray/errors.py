"""Everything that ferray raises on purpose: one tree, each leaf also the built-in type that fits it.

    FerrayError
      ConfigError (ValueError)      a study file, config or override that cannot be used
      DataError (ValueError)        a data source that is missing, damaged or not what it claims
      LedgerError (RuntimeError)    storage that cannot be read or written as a ledger
      ModelError (ValueError)       an exported network that cannot be made, read or used
      ResourceError (RuntimeError)  processors, GPUs or a cluster that are asked for and not there

The command lines print the message of these and exit with status 2; anything else keeps its traceback, since it is a fault of
ferray's own. All of them survive pickling, because they cross processes.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails


class FerrayError(Exception):
    """A mistake that the user can mend: the message says what was wrong, where, and what is allowed."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a study or config: the dotted name of its place (empty for the whole), and what is wrong there."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class ConfigError(FerrayError, ValueError):
    """A study file, config or override that cannot be used; ``faults`` says it place by place, where places are known."""

    def __init__(self, message: str, *, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)

    @classmethod
    def at(cls, place: str, message: str) -> ConfigError:
        """The error of one fault."""
        fault = Fault(place, message)
        return cls(str(fault), faults=[fault])

    def under(self, place: str, before: str = "", after: str = "") -> ConfigError:
        """The same faults, their places below another one; the notes stand around what concerns the whole of it."""
        moved = [
            Fault(f"{place}.{fault.place}", fault.message) if fault.place else Fault(place, f"{before}{fault.message}{after}")
            for fault in self.faults
        ]
        return type(self)("; ".join(str(fault) for fault in moved) or f"{place}: {self}", faults=moved)

    @classmethod
    def of(cls, faults: Sequence[Fault], *, where: str) -> ConfigError:
        """The error of several faults, a line for each; ``where`` names the file or argument."""
        told = str(faults[0]) if len(faults) == 1 else "".join(f"\n  {fault}" for fault in faults)
        return cls(f"{where}: {told}", faults=faults)


class DataError(FerrayError, ValueError):
    """A data source that is missing, damaged or not what it claims to be."""


class LedgerError(FerrayError, RuntimeError):
    """Storage that cannot be read or written as a ledger."""


class ModelError(FerrayError, ValueError):
    """An exported network that cannot be made, read or used."""


class ResourceError(FerrayError, RuntimeError):
    """Processors, GPUs or a cluster that are asked for and not there."""


def nearest(word: str, allowed: Iterable[str]) -> str:
    """The allowed word most like the given one as ``"; did you mean 'x'?"``, or an empty string where none is close.

    Capitals, and whether words are joined by ``-``, ``_`` or a space, make no difference.
    """
    words = {_plain(one): one for one in allowed}
    match = difflib.get_close_matches(_plain(word), words, n=1, cutoff=0.6)
    return f"; did you mean {words[match[0]]!r}?" if match else ""


def _plain(word: str) -> str:
    return re.sub("[- ]", "_", word.lower())


def explain(error: ValidationError, *, where: str, fields: Iterable[str]) -> ConfigError:
    """Turns pydantic's report into one ConfigError: a line per fault with its place, what is allowed and the nearest field.

    ``where`` names the file or argument, ``fields`` are the dotted names that exist, for suggestions.
    """
    known = list(fields)
    faults: list[Fault] = []
    for detail in error.errors(include_url=False):
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, ConfigError) and cause.faults:
            faults.extend(cause.faults)
            continue
        place = ".".join(str(part) for part in detail["loc"] if part != "[key]")
        faults.append(Fault(place, _unknown(place, known) if detail["type"] == "extra_forbidden" else _in_plain_words(detail)))
    return ConfigError.of(list(dict.fromkeys(faults)), where=where)


def short(value: Any) -> str:
    """A value as it is written in Python, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:70]}... ({len(text)} characters)"


def _unknown(place: str, known: Sequence[str]) -> str:
    """What there is instead: a field of that very name outside, or else the nearest; and all that stand beside it, where these are few."""
    above, _, name = place.rpartition(".")
    last = {other: other.rpartition(".")[2] for other in known}
    beside = {last[other]: other for other in known if above and other.rpartition(".")[0] == above}
    match = difflib.get_close_matches(_plain(name), beside, n=1)
    if name in known:
        near = f"; did you mean {name!r}?"
    elif match:
        near = f"; did you mean {beside[match[0]]!r}?"
    else:
        near = "" if beside else nearest(place, known) or nearest(name, last.values())
    listed = f" (there are: {', '.join(beside)})" if 0 < len(beside) <= MOST_LISTED else ""
    return f"unknown key{near}{listed}"


MOST_LISTED = 10
"""So many names are listed beside a wrong one."""
RANGES = {"greater_than_equal": "at least", "greater_than": "greater than", "less_than_equal": "at most", "less_than": "less than"}
TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping of names to values",
    "model_type": "a mapping of names to values",
}


def _in_plain_words(detail: ErrorDetails) -> str:
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    message = _allowed(kind, context) or detail["msg"].removeprefix("Value error, ")
    if kind == "missing" or (isinstance(given, dict) and kind not in TYPES):
        return message
    if given is None:
        return f"{message}, and it is empty"
    if isinstance(given, str) and TYPES.get(kind, "").endswith("number") and reads_as_number(given):
        return f"{message}, and {given!r} is text: remove the quotes"
    near = nearest(given, re.findall("'(.*?)'", context["expected"])) if kind == "literal_error" and isinstance(given, str) else ""
    return f"{message}, not {short(given)}{near}"


def _allowed(kind: str, context: dict[str, Any]) -> str | None:
    """What pydantic's kind of fault means for the user; None where its own message says it."""
    if kind in RANGES:
        bound = next(context[name] for name in ("ge", "gt", "le", "lt") if name in context)
        return f"must be {RANGES[kind]} {f'{bound:,}' if isinstance(bound, int) else f'{bound:g}'}"
    if kind in TYPES:
        return f"must be {TYPES[kind]}"
    match kind:
        case "missing":
            return "is missing"
        case "literal_error":
            return f"must be {context['expected']}"
        case "string_pattern_mismatch":
            return "must be letters, digits and _ . + -, with a letter or digit first"
        case "string_too_long":
            return f"must have at most {context['max_length']} characters"
        case "too_short":
            return "must not be empty"
        case "too_long":
            return f"must have at most {context['max_length']:,} items"
    return None


def reads_as_number(text: str) -> bool:
    """Whether a text is a number in quotes."""
    try:
        float(text)
    except ValueError:
        return False
    return True
