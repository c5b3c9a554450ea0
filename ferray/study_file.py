"""Study files: YAML that is data, never code, read as its 1.2 version reads numbers and booleans."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from ferray.errors import ConfigError, Fault

NESTING = 50
"""So deep may mappings and lists lie in one another; no study comes near, and Python's own limit on recursion is far."""

MOST_VALUES = 100_000
"""So many values may a file hold, where every alias counts as all that it stands for."""

CORE = "tag:yaml.org,2002:"
"""What the tags of YAML's own types begin with."""


class _Loader(yaml.SafeLoader):
    """PyYAML reads YAML 1.1, where ``1e-4`` is text and ``on`` is true. This one reads them as YAML 1.2 and every user does.

    It knows the types of YAML's core schema and no others, and the names in its mappings are text, each there once.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._extents: dict[yaml.Node | None, tuple[int, int]] = {}  # of each finished node: its values, and how deep they lie

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        is_alias = self.check_event(yaml.AliasEvent)
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self._depth > NESTING:
            raise yaml.composer.ComposerError(None, None, f"nested more than {NESTING} deep", mark)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        if not is_alias:
            self._extents[node] = self._extent(node)
        elif node not in self._extents:
            raise yaml.composer.ComposerError(None, None, "an alias inside what it stands for", mark)
        values, height = self._extents[node]
        if values > MOST_VALUES:
            raise yaml.composer.ComposerError(None, None, f"more than {MOST_VALUES:,} values, counting what aliases stand for", mark)
        if self._depth + height > NESTING:
            raise yaml.composer.ComposerError(None, None, f"nested more than {NESTING} deep", mark)
        return node

    def _extent(self, node: yaml.Node | None) -> tuple[int, int]:
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
            parts = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            parts = node.value
        else:
            return 1, 0
        extents = [self._extents[part] for part in parts]
        return 1 + sum(values for values, _ in extents), 1 + max((height for _, height in extents), default=0)


def _check_keys(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _ in node.value:
        if key.tag == f"{CORE}merge":  # `<<: *alias` takes over the names of another mapping, and these may be given anew
            continue
        fault = None
        if not isinstance(key, yaml.ScalarNode):
            fault = "a list or mapping is not a name"
        elif key.tag != f"{CORE}str":
            fault = f"{_short(key.value)} is not a name: names are text (in quotes, where they look like something else)"
        elif key.value in seen:
            fault = f"{_short(key.value)} appears twice"
        if fault:
            raise yaml.constructor.ConstructorError(None, None, fault, key.start_mark)
        seen.add(key.value)


def _short(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"{text[:50]!r}... ({len(text)} characters)"


def _number(text: str) -> float:
    return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))


SCALARS: dict[str, tuple[re.Pattern[str], str, Callable[[str], Any]]] = {  # type: how it is written, how that begins, and its value
    "bool": (re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF", lambda text: text.lower() == "true"),
    "int": (re.compile(r"^[-+]?[0-9]+$"), "-+0123456789", int),  # `010` is ten, not eight
    "float": (
        re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"),
        "-+0123456789.",
        _number,
    ),
}


def _construct(loader: _Loader, node: yaml.ScalarNode) -> Any:
    """The value of a scalar, whose type it has by its form or by a tag such as ``!!int``."""
    text = loader.construct_scalar(node)
    kind = node.tag.removeprefix(CORE)
    pattern, _, value = SCALARS[kind]
    try:
        if pattern.match(text):
            return value(text)
    except ValueError:  # Python reads no whole number of more than 4,300 digits
        pass
    raise yaml.constructor.ConstructorError(None, None, f"{_short(text)} cannot be read as {kind}", node.start_mark)


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag in (f"{CORE}null", f"{CORE}merge")]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.yaml_constructors = {
    tag: constructor
    for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.removeprefix(CORE) in ("null", "str", "seq", "map")
}
for _kind, (_pattern, _letters, _) in SCALARS.items():
    _Loader.add_implicit_resolver(f"{CORE}{_kind}", _pattern, list(_letters))
    _Loader.add_constructor(f"{CORE}{_kind}", _construct)


def read(path: Path) -> tuple[str, dict[str, Any]]:
    """The text of a study file and the mapping in it. Raises ConfigError with the line of a fault."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read: {reason}") from None
    content = _parse(text, str(path))
    if not isinstance(content, dict):
        told = "it is empty" if content is None else f"it holds a {'list' if isinstance(content, list) else 'single value'}"
        raise ConfigError(f"{path}: a study file is a mapping of names to values, such as `seeds: 5`, and {told}")
    return text, content


def check_names(fields: dict[str, Any], where: str) -> None:
    """Refuses mappings whose names are not text, and fields nested without end, before anything walks through them."""
    todo: list[tuple[str, int, Any]] = [("", 0, fields)]
    while todo:
        place, depth, value = todo.pop()
        if depth > NESTING:
            raise ConfigError(f"{where}: {place[:50]}...: nested more than {NESTING} deep")
        if isinstance(value, dict):
            for name, inner in value.items():
                if not isinstance(name, str):
                    raise ConfigError(f"{where}: {place or 'a field'}: names are text, not {name!r}")
                todo.append((f"{place}.{name}" if place else name, depth + 1 + name.count("."), inner))
        elif isinstance(value, list | tuple):
            todo.extend((f"{place}[{number}]", depth + 1, inner) for number, inner in enumerate(value))


def override(content: dict[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """The mapping with ``NAME=VALUE`` settings in it; names are dotted, values are YAML and replace what was there."""
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name.strip() or "" in name.strip().split("."):
            raise ConfigError(f"--set {setting}: write NAME=VALUE, for example --set base.epochs=3")
        path = name.strip().split(".")
        if len(path) > NESTING:
            raise ConfigError(f"--set {name[:50]}...: nested more than {NESTING} deep")
        content = _replace(content, path, _parse(value, f"--set {setting}"))
    return content


def _replace(content: Any, path: list[str], value: Any) -> Any:
    """The content with a value at a path, in place of all that stood there by nested or by dotted names."""
    if not path:
        return value
    mapping = content if isinstance(content, dict) else {}
    whole = ".".join(path)
    kept = {name: inner for name, inner in mapping.items() if name == path[0] or not f"{name}.".startswith(f"{whole}.")}
    for depth in range(len(path) - 1, 0, -1):
        head = ".".join(path[:depth])
        if head in kept:
            return {**kept, head: _replace(kept[head], path[depth:], value)}
    return {**kept, path[0]: _replace(None, path[1:], value)}


def point(error: ConfigError, path: Path, text: str, settings: Sequence[str]) -> ConfigError:
    """The error of a study read from a file, with the line of each fault, or the setting of the command line that brought it in."""
    if not error.faults:
        return error if str(error).startswith("--set ") else ConfigError(f"{path}: {error}")
    lines = dict(_lines(yaml.compose(text, Loader=_Loader), ""))
    told = [f"{_origin(fault, str(path), lines, settings)}: {fault}" for fault in error.faults]
    return ConfigError(told[0] if len(told) == 1 else "\n  ".join([f"{len(told)} faults:", *told]), faults=error.faults)


def _origin(fault: Fault, path: str, lines: dict[str, int], settings: Sequence[str]) -> str:
    for setting in reversed(settings):
        name = setting.partition("=")[0].strip()
        if f"{fault.place}.".startswith(f"{name}."):
            return f"--set {setting}"
    place = fault.place
    while place and place not in lines:
        place = place.rpartition(".")[0]
    return f"{path}, line {lines[place]}" if place else path


def _lines(node: yaml.Node | None, prefix: str) -> Iterator[tuple[str, int]]:
    """The line of each name in a file, by its dotted place; a list's items are named by their number, or by the name that they have."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.tag == f"{CORE}merge":
                continue
            yield f"{prefix}{key.value}", key.start_mark.line + 1
            yield from _lines(value, f"{prefix}{key.value}.")
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value, start=1):
            pairs = item.value if isinstance(item, yaml.MappingNode) else []
            names = [str(value.value) for key, value in pairs if key.value == "name"]
            for name in [str(number), *names]:
                yield f"{prefix}{name}", item.start_mark.line + 1
                yield from _lines(item, f"{prefix}{name}.")


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) if not where.startswith("--set") else None
        line = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{where}{line}: {_plain(getattr(error, 'problem', None) or str(error))}") from None


def _plain(problem: str) -> str:
    """What PyYAML says, in the user's words where those are others."""
    if r"'\t'" in problem:
        return "a tab; YAML is indented with spaces"
    if "could not determine a constructor" in problem:
        return f"the tag {problem.rsplit(maxsplit=1)[-1]}: a study file is data, and has no tags"
    return problem.partition("\n")[0].replace("'<stream end>'", "the end")
