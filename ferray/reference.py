"""The reference of every field of a study file, as Markdown made from the models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ferray.config import OWN_NETWORKS, REFERENCE
from ferray.designs import FACTORS, NAME, SET_BY_THE_STUDY
from ferray.schema import study_schema
from ferray.search import LISTS, MEANINGS, NUMERIC

WORDS = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "object": "mapping",
    "array": "list",
}


def reference() -> str:
    """Tables of all fields: name, type, default, allowed range and meaning."""
    schema = study_schema()
    parts = schema["$defs"]
    fields = {name.removeprefix("field."): field for name, field in parts.items() if name.startswith("field.")}
    base = {name: field for name, field in fields.items() if "." not in name and name not in SET_BY_THE_STUDY}
    augmentation = {name.partition(".")[2]: field for name, field in fields.items() if "." in name}
    sections = [
        "## The study",
        _fields(schema["properties"], parts, {"name": "the file's name"}),
        "## data",
        "Where the images come from. One word, such as `data: fer2013`, is short for `data: {source: fer2013}`.",
        _fields(parts["DataSource"]["properties"], parts),
        "## base, and the overrides of variants and factors",
        "The settings of one training. Names may be nested (`augmentation: {rotation: 30}`) or dotted (`augmentation.rotation: 30`). "
        f"{_listed(SET_BY_THE_STUDY)} are set by the study's {' and '.join(SET_BY_THE_STUDY.values())}.",
        _fields(base, parts, _of_networks()),
        "## augmentation",
        parts["field.augmentation"]["description"],
        _fields(augmentation, parts),
        "## ablate",
        _fields(parts["Ablation"]["properties"], parts, {"remove": "to be given"}),
        "The factors that `remove` may name, beside those of your own under `factors`, and what taking one away sets:",
        _table(["factor", "is taken away by"], ([f"`{name}`", _settings(sets)] for name, sets in FACTORS.items())),
        "## search",
        "A field, nested or dotted, and its domain: a mapping of one key, called like the function of `ray.tune`, to its arguments. "
        "`choice` and `grid_search` list values of the field, which for a group such as `augmentation` are mappings. "
        "Domains other than `grid_search` are drawn `num_samples` times.",
        _table(
            ["domain", "draws"],
            [
                *([f"`{name}: [value, ...]`", MEANINGS[name]] for name in LISTS),
                *([f"`{name}: [{', '.join(arguments)}]`", MEANINGS[name]] for name, arguments in NUMERIC.items()),
            ],
        ),
        "Beside the domain, `when` maps fields to a value or a list of values. Where one of these fields has another value, in the base "
        "under the sample under the variant, the searched field keeps what it has without the search. `sample_from` and `eval` are code, "
        "and are refused.",
        "## tuning",
        _fields(parts["Tuning"]["properties"], parts),
        "## published",
        "By the variant's name:",
        _fields(parts["Published"]["properties"], parts),
    ]
    return "\n\n".join(sections) + "\n"


def _fields(properties: Mapping[str, Any], parts: Mapping[str, Any], defaults: Mapping[str, str] | None = None) -> str:
    rows = []
    for name, field in properties.items():
        kinds = [_resolved(part, parts) for part in field.get("anyOf", [field])]
        default = (defaults or {}).get(name) or _default(field)
        is_code = any(kind.get("pattern") == REFERENCE for kind in kinds)  # then the meaning says it
        allowed = "" if is_code else "; ".join(dict.fromkeys(filter(None, (_allowed(kind) for kind in kinds))))
        rows.append([f"`{name}`", _type(kinds), default, allowed, field.get("description", "")])
    return _table(["name", "type", "default", "allowed", "meaning"], rows)


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def _resolved(kind: Mapping[str, Any], parts: Mapping[str, Any]) -> Mapping[str, Any]:
    return parts[kind["$ref"].removeprefix("#/$defs/")] if "$ref" in kind else kind


def _type(kinds: list[Mapping[str, Any]]) -> str:
    words = []
    for kind in kinds:
        word = WORDS.get(kind.get("type", "string" if "enum" in kind or "const" in kind else ""), "")
        inner = kind.get("items", {}).get("type")
        words.append(f"list of {WORDS[inner]}s" if word == "list" and inner in ("integer", "number") else word)
    return ", or ".join(dict.fromkeys(filter(None, words)))


def _default(field: Mapping[str, Any]) -> str:
    value = field.get("default")
    if value is None:
        return "none"
    if isinstance(value, dict) and value:
        return "the defaults below"
    return f"`{_written(value)}`"


def _allowed(kind: Mapping[str, Any]) -> str:
    if kind.get("pattern") == NAME:
        return "letters, digits and `_ . + -`, a letter or digit first"
    if "enum" in kind or "const" in kind:
        return ", ".join(f"`{value}`" for value in kind.get("enum", [kind.get("const")]))
    if kind.get("type") not in ("integer", "number"):
        return ""
    below, above = kind.get("minimum"), kind.get("maximum")
    over, under = kind.get("exclusiveMinimum"), kind.get("exclusiveMaximum")
    parts = [
        f"at least {below:,}" if below is not None else f"greater than {over:,}" if over is not None else "",
        f"at most {above:,}" if above is not None else f"less than {_large(under)}" if under is not None else "",
    ]
    return ", ".join(filter(None, parts))


def _large(number: int) -> str:
    return f"2^{number.bit_length() - 1}" if number > 10**9 else f"{number:,}"


def _written(value: Any) -> str:
    """A value as it is written in YAML."""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _settings(sets: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name}: {_written(value)}`" for name, value in sets.items())


def _listed(names: Iterable[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)


def _of_networks() -> dict[str, str]:
    """Defaults that depend on the network."""
    names = OWN_NETWORKS["cnn"]
    return {name: ", ".join(f"`{_written(known[name])}` ({network})" for network, known in OWN_NETWORKS.items()) for name in names}
