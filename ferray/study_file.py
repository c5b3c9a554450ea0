"""Study files: YAML that is data, never code, read as its 1.2 version reads numbers and booleans."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from ferray.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """PyYAML reads YAML 1.1, where ``1e-4`` is text and ``on`` is true. This one reads them as YAML 1.2 and every user does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, list | dict) or key in seen:
                fault = "is not a name" if isinstance(key, list | dict) else "appears twice"
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} {fault}", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":float", ":bool", ":timestamp", ":int"))]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.(?:inf|Inf|INF)$|^\.(?:nan|NaN|NAN)$"),
    list("-+0123456789."),
)
_Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))  # `010` is ten, not eight


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
        content = _replace(content, name.strip().split("."), _parse(value, f"--set {setting}"))
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
