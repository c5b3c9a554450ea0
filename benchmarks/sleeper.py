"""A network whose training takes a known time, whatever the machine does beside: it sleeps, and writes down when."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import torch
from torch import Tensor, nn


class Sleeper(nn.Module):
    """Sleeps so many seconds for each training image, so that ferray's look at a user's network, on a few images, is short.

    A line of ``log`` tells of each training step its process, when it began and when it ended, in seconds of the system's clock.
    """

    def __init__(self, num_classes: int, seconds_per_image: float, log: str) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(num_classes))
        self.seconds_per_image = seconds_per_image
        self.log = Path(log)

    def forward(self, images: Tensor) -> Tensor:
        """Images [n, c, h, w] to the same logits [n, classes] for all."""
        if self.training:
            began = time.time()
            time.sleep(self.seconds_per_image * len(images))
            line = json.dumps([os.getpid(), began, time.time(), len(images)])
            with self.log.open("a", encoding="ascii") as file:
                file.write(f"{line}\n")
        return self.logits.expand(len(images), -1)


def gaps(log: Path, images: int) -> list[float]:
    """Seconds from the end of each trial's step to the beginning of the next trial's in the same process.

    ``images`` is how many a step of a trial has, which tells it from ferray's look at the network. Each trial has one step.
    """
    steps = [json.loads(line) for line in log.read_text(encoding="ascii").splitlines()]
    ended: dict[int, float] = {}
    found = []
    for pid, began, end, size in sorted(steps, key=lambda step: float(step[1])):
        if size == images:
            if pid in ended:
                found.append(began - ended[pid])
            ended[pid] = end
    return found
