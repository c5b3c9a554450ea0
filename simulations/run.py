"""One scenario: its studies, and whether what they show is what is promised."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from simulations.answers import ClassWorld
from simulations.factorials import study_factorial
from simulations.ledgers import study_ledgers
from simulations.measures import Share, study_classes, study_world
from simulations.scenarios import Scenario
from simulations.worlds import World

COVERAGE = (0.93, 0.97)
"""What is asked of a 95 % interval."""
FALSE = 0.05
"""The most that is allowed of false verdicts in a family."""
DOUBT = 3.0
"""Monte-Carlo standard errors by which a share may miss its bounds by chance; there are some hundreds of shares."""
POWER_OFF = 0.04
"""How far predicted power may lie from what is shown, beyond the Monte-Carlo error."""


@dataclass(frozen=True)
class Outcome:
    """What a scenario showed: shares by what they measure, with the metric or the contrast before where there are several."""

    scenario: Scenario
    shares: dict[str, Share]
    seconds: float

    @property
    def label(self) -> str:
        """Which scenario it is, in one line."""
        world = self.scenario.world
        return f"{self.scenario.name or 'no effect'}, {world.seeds} seeds, {world.images} images"

    @property
    def failures(self) -> list[str]:
        """What is not as promised, beyond chance; nothing is promised where the scenario says so."""
        return [f"{self.label}: {text}" for text in self._misses()] if self.scenario.holds else []

    @property
    def as_json(self) -> dict[str, Any]:
        """Plain numbers."""
        about = {"part": self.scenario.part, "name": self.scenario.name, "holds": self.scenario.holds, "world": asdict(self.scenario.world)}
        return {**about, "shares": {name: share.as_json for name, share in self.shares.items()}, "seconds": round(self.seconds, 1)}

    def _misses(self) -> list[str]:
        found = []
        most = 1.0 if self.scenario.wide else COVERAGE[1]
        for name, share in self.shares.items():
            doubt = DOUBT * share.error if share.error > 0 else DOUBT / max(share.studies, 1)
            measure = name.split(": ")[-1].split(" ")[0]
            if measure in ("seeds", "images", "both") and not COVERAGE[0] - doubt <= share.value <= most + doubt:
                found.append(f"{name} covers {share.value:.1%} (+-{share.error:.1%})")
            if name.split(": ")[-1] in ("false difference", "false none", "wrong sign") and share.value > FALSE + doubt:
                found.append(f"{name} in {share.value:.1%} (+-{share.error:.1%})")
        for shown, predicted in (("shown", "predicted"), ("none shown", "none predicted")):
            if shown in self.shares and predicted in self.shares:
                share = self.shares[shown]
                if abs(share.value - self.shares[predicted].value) > POWER_OFF + DOUBT * share.error:
                    found.append(f"{shown} {share.value:.1%}, {predicted} {self.shares[predicted].value:.1%}")
        return found


def outcome(scenario: Scenario, studies: int, seed: int) -> Outcome:
    """Runs a scenario."""
    started = time.monotonic()
    count = max(2, round(studies * scenario.effort))
    if scenario.factorial and isinstance(scenario.world, World):
        shares = study_factorial(scenario.world, count, seed)
    elif not isinstance(scenario.world, ClassWorld):
        shares = study_world(scenario.world, count, seed)
    elif scenario.ledgers:
        shares = study_ledgers(scenario.world, count, seed, scenario.lost)
    else:
        by_metric = study_classes(scenario.world, count, seed)
        shares = {f"{metric}: {name}": share for metric, own in by_metric.items() for name, share in own.items()}
    return Outcome(scenario, shares, time.monotonic() - started)
