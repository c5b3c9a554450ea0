"""Calling a user's factory: with the arguments of the config, and with what ferray knows, where the factory asks for it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch

from ferray.code import Code, told
from ferray.errors import ConfigError, nearest
from ferray.training.generators import seeded

Known = Mapping[str, Any]
"""What ferray can tell a factory: ``num_classes``, ``in_channels`` and ``image_size`` (height, width)."""


def loaded(code: Code) -> Callable[..., Any]:
    """The callable of a piece of code, whose module is imported once a process, whichever trial comes first.

    What it draws on import is therefore the same for all. Raises what ``Code.load`` does.
    """
    with seeded(0, torch.device("cpu")):
        return code.load()


def make(field: str, reference: str, factory: Callable[..., Any], arguments: Mapping[str, Any], known: Known) -> Any:
    """What the factory returns for the arguments, which win over what is known.

    Of the latter a factory gets those whose names are among its parameters; ``**kwargs`` do not count. ``field`` is the config's
    (``model``, ``loss``, ``transform``). Raises ConfigError where the factory takes no such argument, lacks one, or raises.
    """
    where = f"{field}: {reference}"
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):  # some callables of compiled code do not tell
        return _call(where, factory, arguments)
    parameters = signature.parameters
    names = [name for name, one in parameters.items() if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    for name in arguments:
        if name not in names and not takes_any:
            takes = ", ".join(names) if names else "nothing"
            raise ConfigError(f"{where}: {field}_arguments.{name}: it takes no such argument{nearest(name, names)} (it takes: {takes})")
    given = {**{name: value for name, value in known.items() if name in names}, **arguments}
    try:
        signature.bind(**given)
    except TypeError as fault:
        told_of = f"; ferray calls it with {field}_arguments, and what it returns is the {field}"
        raise ConfigError(f"{where}: {fault}{told_of}") from None
    return _call(where, factory, given)


def _call(where: str, factory: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    try:
        return factory(**deepcopy(dict(arguments)))  # which it may change, and which are the config's
    except (Exception, SystemExit) as fault:
        given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        raise ConfigError(f"{where}: called with ({given}), it raises {told(fault)}") from fault


def described(value: object) -> str:
    """What a value is, for an error: `an int`, `None`, `a tensor float32 [2, 3]`."""
    if value is None:
        return "None"
    shape = getattr(value, "shape", None)
    if shape is not None and hasattr(value, "dtype"):
        return f"a tensor {str(value.dtype).removeprefix('torch.')} {list(shape)}"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
