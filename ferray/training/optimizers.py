"""torch's optimizers, for trainings that are not compiled.

torch tells its compiler to leave some of an optimizer's methods alone, and loads it for that as soon as one of them is called: two
seconds, and many megabytes, of every process that trains. Here these methods are without that, and compute the same.
"""

from __future__ import annotations

import inspect

import torch
from torch import optim


class _Uncompiled(optim.Optimizer):
    """What every optimizer has, each method as it was written."""

    add_param_group = inspect.unwrap(optim.Optimizer.add_param_group)
    load_state_dict = inspect.unwrap(optim.Optimizer.load_state_dict)
    state_dict = inspect.unwrap(optim.Optimizer.state_dict)
    zero_grad = inspect.unwrap(optim.Optimizer.zero_grad)


class SGD(_Uncompiled, optim.SGD):
    """torch.optim.SGD, whose steps cannot be differentiated through."""

    step = torch.no_grad()(inspect.unwrap(optim.SGD.step))


class Adam(_Uncompiled, optim.Adam):
    """torch.optim.Adam, whose steps cannot be differentiated through."""

    step = torch.no_grad()(inspect.unwrap(optim.Adam.step))


class AdamW(_Uncompiled, optim.AdamW):
    """torch.optim.AdamW, whose steps cannot be differentiated through."""

    step = torch.no_grad()(inspect.unwrap(optim.AdamW.step))
