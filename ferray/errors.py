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
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class FerrayError(Exception):
    """A mistake that the user can mend: the message says what was wrong, where, and what is allowed."""


class ConfigError(FerrayError, ValueError):
    """A study file, config or override that cannot be used."""


class DataError(FerrayError, ValueError):
    """A data source that is missing, damaged or not what it claims to be."""


class LedgerError(FerrayError, RuntimeError):
    """Storage that cannot be read or written as a ledger."""


class ModelError(FerrayError, ValueError):
    """An exported network that cannot be made, read or used."""


class ResourceError(FerrayError, RuntimeError):
    """Processors, GPUs or a cluster that are asked for and not there."""


def nearest(word: str, allowed: Iterable[str]) -> str:
    """The allowed word most like the given one as ``"; did you mean 'x'?"``, or an empty string where none is close."""
    match = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.6)
    return f"; did you mean {match[0]!r}?" if match else ""


def explain(error: ValidationError, *, where: str, fields: Iterable[str]) -> ConfigError:
    """Turns pydantic's report into one ConfigError: a line per fault with its place, what is allowed and the nearest field.

    ``where`` names the file or argument, ``fields`` are the dotted names that exist, for suggestions.
    """
    known = list(fields)
    lines = []
    for fault in error.errors(include_url=False):
        place = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            siblings = {name.rsplit(".", 1)[-1] for name in known}
            key = str(fault["loc"][-1])
            lines.append(f"{place or key}: unknown key{nearest(place, known) or nearest(key, siblings)}")
        else:
            message = fault["msg"].removeprefix("Value error, ")
            given = "" if isinstance(fault["input"], dict) else f", not {fault['input']!r}"
            lines.append(f"{place}: {message}{given}" if place else message)
    told = lines[0] if len(lines) == 1 else "".join(f"\n  {line}" for line in lines)
    return ConfigError(f"{where}: {told}")
