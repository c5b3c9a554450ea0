"""Weights to begin from: a local file's tensors, as far as they fit a network."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import safetensors
import torch
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from ferray.attachments import Weights
from ferray.errors import ConfigError

WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "network")
"""Names under which training scripts keep a network's tensors beside other things."""

PARALLEL = "module."
"""Before every name where a network was saved within DataParallel."""

INPUT = ("input.mean", "input.deviation")
"""The input normalization's tensors in files that ferray wrote; they belong to no network."""

NAMED = 6
"""So many tensors that do not fit are named; the others are counted."""


def begin_from(model: nn.Module, weights: Weights) -> str:
    """Copies a file's tensors into a network by their names; says what was taken and what was not.

    Tensors of other shapes are left as they were initialised (the last layer, where the classes differ). A convolution that differs in
    its input channels alone is summed from three channels to one, which answers a grey image as it did its colour copy, or divided from
    one to three. Raises ConfigError where the file cannot be read or no parameter fits.
    """
    own = {name: value for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    given = {name: value for name, value in _tensors(weights).items() if name in own or name not in INPUT}
    parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    taken, afresh, summed = [], [], []
    with torch.no_grad():
        for name, value in own.items():
            found = given.get(name)
            fitted = None if found is None else _fitted(found, value)
            if fitted is None:
                where = "" if found is None else f" (there {list(found.shape)}, here {list(value.shape)})"
                afresh.append(f"{name}{where}")
                continue
            value.copy_(fitted)
            taken.append(name)
            if found is not None and found.shape != value.shape:
                summed.append(f"{name} from {found.shape[1]} channels to {value.shape[1]}")
    where = f"pretrained: {weights.name}"
    if not parameters & set(taken):
        raise ConfigError(
            f"{where}: none of its {len(given)} tensors fits the network's {len(own)}; "
            f"the file has {_listed(_shapes(given))}; the network has {_listed(_shapes(own))}"
        )
    parts = [f"taken {len(taken)} of the network's {len(own)} tensors from {weights.name}"]
    parts += [f"changed {_listed(summed)}"] if summed else []
    parts += [f"left as initialised: {_listed(afresh)}"] if afresh else []
    unused = [name for name in given if name not in own]
    parts += [f"not used: {_listed(unused)}"] if unused else []
    return "; ".join(parts)


def _tensors(weights: Weights) -> dict[str, Tensor]:
    """A file's tensors by name; nothing that the file may hold is run."""
    where = f"pretrained: {weights.name}"
    if weights.name.endswith(".safetensors"):
        try:
            content: Any = load_safetensors(weights.content)
        except safetensors.SafetensorError as fault:
            raise ConfigError(f"{where}: cannot be read as safetensors ({fault})") from None
    elif weights.name.endswith((".pt", ".pth")):
        try:
            content = torch.load(io.BytesIO(weights.content), map_location="cpu", weights_only=True)
        except Exception as fault:  # noqa: BLE001 - torch raises many types over files that are not its own
            raise ConfigError(
                f"{where}: is no file of tensors alone, and nothing else is loaded, since it could run code "
                f"({type(fault).__name__}); save network.state_dict(), with torch.save or safetensors"
            ) from None
    else:
        raise ConfigError(f"{where}: must end in .safetensors, .pt or .pth")
    for name in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
            break
    if not isinstance(content, Mapping):
        raise ConfigError(f"{where}: holds a {type(content).__name__}, not tensors by name; save network.state_dict()")
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if tensors and all(name.startswith(PARALLEL) for name in tensors):
        tensors = {name.removeprefix(PARALLEL): value for name, value in tensors.items()}
    return tensors


def _fitted(found: Tensor, wanted: Tensor) -> Tensor | None:
    """A tensor in the wanted one's shape, or None where it does not fit."""
    if found.shape == wanted.shape:
        return found
    is_convolution = found.dim() == wanted.dim() == 4 and found.shape[0] == wanted.shape[0] and found.shape[2:] == wanted.shape[2:]
    if is_convolution and (found.shape[1], wanted.shape[1]) == (3, 1):
        return found.sum(dim=1, keepdim=True)
    if is_convolution and (found.shape[1], wanted.shape[1]) == (1, 3):
        return found.expand(-1, 3, -1, -1) / 3
    return None


def _shapes(tensors: Mapping[str, Tensor]) -> list[str]:
    return [f"{name} {list(value.shape)}" for name, value in tensors.items()]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}" if names else "none"
