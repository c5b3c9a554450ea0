"""A network whose training takes a known time, whatever the machine does beside: it sleeps, and writes down when."""

from __future__ import annotations

import json
import os
import time
from operator import itemgetter
from pathlib import Path

import torch
from torch import Tensor, nn


class Sleeper(nn.Module):
    """Sleeps so many seconds in a training step of at least so many images; ferray's look at a user's network has fewer.

    A line of ``log`` tells of each training step its process, when it began and when it ended, in seconds of the system's clock.
    """

    def __init__(self, num_classes: int, seconds: float, images: int, log: str) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(num_classes))
        self.seconds = seconds
        self.images = images
        self.log = Path(log)

    def forward(self, images: Tensor) -> Tensor:
        """Images [n, c, h, w] to the same logits [n, classes] for all."""
        if self.training and len(images) >= self.images:
            began = time.time()
            time.sleep(self.seconds)
            line = json.dumps([os.getpid(), began, time.time()])
            with self.log.open("a", encoding="ascii") as file:
                file.write(f"{line}\n")
        return self.logits.expand(len(images), -1)


def gaps(log: Path) -> list[float]:
    """Seconds from the end of each trial's step to the beginning of the next trial's in the same process. Each trial has one step."""
    ended: dict[int, float] = {}
    found = []
    for pid, began, end in sorted((json.loads(line) for line in log.read_text(encoding="ascii").splitlines()), key=itemgetter(1)):
        if pid in ended:
            found.append(began - ended[pid])
        ended[pid] = end
    return found
