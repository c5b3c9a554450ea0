"""ferray: ablation and hyperparameter studies of image classifiers on Ray Tune, with answers that can be believed.

The public names are loaded when they are first used: importing ferray loads neither Ray nor PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ferray.analysis.results import Results
    from ferray.config import Augmentation, Config
    from ferray.data_source import DataSource
    from ferray.designs import Ablation
    from ferray.errors import ConfigError, DataError, FerrayError, LedgerError, ModelError, ResourceError
    from ferray.export import export_trial
    from ferray.study import Study
    from ferray.trained_model import Model, load_model
    from ferray.training import fit

__version__ = "0.1.0"
__all__ = [
    "Ablation",
    "Augmentation",
    "Config",
    "ConfigError",
    "DataError",
    "DataSource",
    "FerrayError",
    "LedgerError",
    "Model",
    "ModelError",
    "ResourceError",
    "Results",
    "Study",
    "export_trial",
    "fit",
    "load_model",
]

_HOMES = {
    "Ablation": "designs",
    "Augmentation": "config",
    "Config": "config",
    "DataSource": "data_source",
    "Model": "trained_model",
    "Results": "analysis.results",
    "Study": "study",
    "export_trial": "export",
    "fit": "training",
    "load_model": "trained_model",
    **dict.fromkeys(("ConfigError", "DataError", "FerrayError", "LedgerError", "ModelError", "ResourceError"), "errors"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ferray' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ferray.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
