"""The state of a training between two epochs, and that state as bytes."""

from __future__ import annotations

import io
from typing import Any

import torch
from torch import Tensor, nn

State = dict[str, Any]
"""All that a training goes on from: plain dictionaries, lists, numbers, strings and tensors on the processor."""


def dump_state(state: State) -> bytes:
    """A state as bytes for a file."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def load_state(content: bytes) -> State:
    """The state that dump_state() wrote; runs no code that the bytes might hold."""
    state: State = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return state


def finite_tensors(module: nn.Module) -> set[str]:
    """The names of the parameters and buffers whose numbers are all finite."""
    names, finite = finite_flags(module)
    return {name for name, is_finite in zip(names, finite.tolist(), strict=True) if is_finite}


def finite_flags(module: nn.Module) -> tuple[list[str], Tensor]:
    """The names of the parameters and buffers, and whether the numbers of each are all finite, as a tensor on the module's device."""
    values = {name: value for name, value in module.state_dict().items() if isinstance(value, Tensor) and value.is_floating_point()}
    return list(values), torch.stack([value.isfinite().all() for value in values.values()]) if values else torch.ones(0)


def unsaved_buffers(module: nn.Module) -> dict[str, Tensor]:
    """What a module of the user's own keeps out of its state_dict, and may yet change."""
    saved = module.state_dict()
    return {name: buffer for name, buffer in module.named_buffers() if name not in saved}


def restore_buffers(module: nn.Module, buffers: State) -> None:
    """Takes over what unsaved_buffers() gave, as far as it fits."""
    for name, buffer in unsaved_buffers(module).items():
        if name in buffers and buffers[name].shape == buffer.shape:
            buffer.copy_(buffers[name])


def module_state(called: object) -> State:
    """A copy of all tensors of a loss or a transform that is a module, and nothing of any other."""
    if not isinstance(called, nn.Module):
        return {}
    return {"saved": copied(dict(called.state_dict())), "unsaved": copied(unsaved_buffers(called))}


def restore_module(called: object, state: State) -> None:
    """Takes over what module_state() gave."""
    if isinstance(called, nn.Module) and state:
        called.load_state_dict(state["saved"])
        restore_buffers(called, state["unsaved"])


def copied(value: Any) -> Any:
    """The same structure with every tensor copied to the processor."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value
