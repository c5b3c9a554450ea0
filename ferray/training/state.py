"""The state of a training between two epochs, and that state as bytes."""

from __future__ import annotations

import io
from typing import Any

import torch
from torch import Tensor

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


def copied(value: Any) -> Any:
    """The same structure with every tensor copied to the processor."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value
