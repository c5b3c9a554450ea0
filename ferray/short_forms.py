"""Short forms of a study file: a word or a list where the study has a mapping, and an example where only a mapping will do."""

from __future__ import annotations

from typing import Any

from ferray.config import Frozen
from ferray.data_source import DataSource
from ferray.errors import ConfigError, short

EXAMPLES = {
    "ablate": "{design: leave_one_out, remove: [dropout, batch_norm]}",
    "tuning": "{seeds: 1, scheduler: asha}",
    "budget": "{processor_hours: 4}",
}
"""Of fields that have no short form."""


def in_long_form(content: dict[str, Any]) -> dict[str, Any]:
    """A study file's content with mappings for their short forms, so that data.subset=100 and variants.dnn.width=2 reach into them."""
    long_forms: dict[str, Any] = {}
    if isinstance(content.get("data"), str):
        long_forms["data"] = data(content["data"])
    if isinstance(content.get("variants"), list):
        long_forms["variants"] = variants(content["variants"])
    return {**content, **long_forms}


def data(given: Any) -> Any:
    """The mapping that a word such as ``fer2013`` is short for. Raises ValueError for what is neither a word nor a mapping."""
    if not isinstance(given, str | dict | DataSource):
        raise ValueError("a word such as fer2013, or a mapping such as {source: fer2013, path: ...}")
    return {"source": given} if isinstance(given, str) else given


def variants(given: Any) -> Any:
    """Variants by name, of a list in which each has its ``name``. Raises ConfigError for one without, or of a name that is there."""
    if not isinstance(given, list | tuple):
        return given
    named: dict[str, Any] = {}
    for number, item in enumerate(given, start=1):
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            raise ConfigError.at(f"variants.{number}", f"needs a name, as in {{name: dnn, model: dnn}}; it is {short(item)}")
        if item["name"] in named:
            raise ConfigError.at(f"variants.{number}", f"an earlier one is called {item['name']!r} too")
        named[item["name"]] = {name: value for name, value in item.items() if name != "name"}
    return named


def mapping(field: str, given: Any) -> Any:
    """The same, of a field in EXAMPLES; a field that is empty is not there. Raises ValueError for anything but a mapping."""
    if given is None or isinstance(given, dict | Frozen):
        return given
    raise ValueError(f"must be a mapping, such as {EXAMPLES[field]}")
