"""Study files: YAML that is data, never code, read as its 1.2 version reads numbers and booleans."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from ferray.errors import ConfigError

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
            _check_names(node)
            parts = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            parts = node.value
        else:
            return 1, 0
        extents = [self._extents[part] for part in parts]
        return 1 + sum(values for values, _ in extents), 1 + max((height for _, height in extents), default=0)


def _check_names(node: yaml.MappingNode) -> None:
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
        raise ConfigError(f"{path}: a study file is a mapping of names to values, such as `name: my-study`")
    return text, content


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
    if not path:
        return value
    mapping = content if isinstance(content, dict) else {}
    return {**mapping, path[0]: _replace(mapping.get(path[0]), path[1:], value)}


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}, column {mark.column + 1}:" if mark else ""
        raise ConfigError(f"{where}:{line} {getattr(error, 'problem', None) or error}") from None
