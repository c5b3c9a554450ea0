"""Users' own modules, as files in a folder, and trainings that use them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

from toy_data import toy_data

from ferray.attachments import Finder
from ferray.config import Config
from ferray.training import Epoch, fit

NETWORK = """
    from torch import nn

    class Net(nn.Module):
        def __init__(self, num_classes, in_channels, width=4, dropout=0.5):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
            self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, num_classes))

        def forward(self, images):
            return self.head(self.body(images).mean((2, 3)))
"""


def write(folder: Path, **modules: str) -> Path:
    """Writes modules by their names into a folder, which it returns."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(dedent(source), encoding="utf-8")
    return folder


def train(folder: Path, resume: Any = None, data: Any = None, **settings: Any) -> list[Epoch]:
    """All epochs of a training whose files lie in the folder."""
    config = Config.parse({"epochs": 2, "batch_size": 16, "precision": "fp32", **settings})
    return list(fit(config, data or toy_data(train=33), resume, attachments=Finder([folder]).attach(config)))


def outcomes(epochs: list[Epoch]) -> list[dict[str, float | int]]:
    """Their figures, without times."""
    return [{name: value for name, value in epoch.row.items() if name not in ("seconds", "images_per_second")} for epoch in epochs]
