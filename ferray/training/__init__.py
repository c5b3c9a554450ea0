"""Training one network: ``fit(config, data)``, a generator of epochs, without Ray."""

from __future__ import annotations

from ferray.training.epoch import Epoch
from ferray.training.epochs import fit

__all__ = ["Epoch", "fit"]
