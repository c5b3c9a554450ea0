"""Which worlds are looked at, and what they are there to find out."""

from __future__ import annotations

from dataclasses import dataclass

from simulations.answers import ClassWorld
from simulations.factorials import effects
from simulations.worlds import World


@dataclass(frozen=True)
class Scenario:
    """A world with its place in the tables; ``holds`` is False where no method of this kind can hold, and the page says why."""

    part: str
    name: str
    world: World | ClassWorld
    holds: bool = True
    wide: bool = False  # rare large values, for which intervals may cover more often than asked
    effort: float = 1.0  # studies, in units of those that are asked for
    factorial: bool = False  # the contrasts of a design, not each variant
    ledgers: bool = False  # on disk, through the whole analysis
    lost: float = 0.0  # share of trials that have failed, in ledgers


SEEDS = (3, 5, 10)
GRID = "Seeds and images"
TROUBLE = "Worlds that are not as the method assumes"
FAMILIES = "Families of five comparisons with one baseline"
MARGIN = "Effects at the margin, and none at all"
LIMITS = "Where the intervals do not hold"
FACTORIALS = "Factorial designs"
METRICS = "Macro-F1, loss and recall"
LEDGERS = "Ledgers on disk, through the whole analysis"


def everything() -> list[Scenario]:
    """The full suite."""
    return [*_grid(), *_trouble(), *_families(), *_margin(), *_limits(), *_factorials(), *_metrics(), *_ledgers()]


def quick() -> list[Scenario]:
    """One of each kind, for a test."""
    return [
        Scenario(GRID, "no effect", World(3, 300)),
        Scenario(GRID, "effect of 4 points", World(5, 1000, effects=(4.0,))),
        Scenario(TROUBLE, "a variant with 3 times the spread", World(3, 300, ratio=3, spread=1.5)),
        Scenario(TROUBLE, "clusters of 4 near-identical images, known", World(5, 300, twins=(0.5, 4))),
        Scenario(FAMILIES, "no effect", World(3, 300, effects=(0.0,) * 5)),
        Scenario(MARGIN, "effect of the margin of 4", World(5, 1000, effects=(4.0,), margin=4.0)),
        Scenario(FACTORIALS, "no effect", World(3, 300, effects=(0.0,) * 7), effort=0.5, factorial=True),
        Scenario(METRICS, "no effect", ClassWorld(5, 300), effort=0.15),
        Scenario(LEDGERS, "no effect", ClassWorld(3, 300, effects=(0.0,) * 3), effort=0.01, ledgers=True),
    ]


def _grid() -> list[Scenario]:
    return [
        Scenario(GRID, f"effect of {effect:g} points" if effect else "no effect", World(seeds, images, effects=(effect,)))
        for effect in (0.0, 1.0, 3.0)
        for images in (300, 1000, 3589)
        for seeds in SEEDS
        if effect != 1.0 or images == 3589
    ]


def _trouble() -> list[Scenario]:
    kinds = {
        "seeds do nothing": {"spread": 0.0, "block_spread": 0.0},
        "seeds do most": {"spread": 3.0, "block_spread": 3.0},
        "a variant with 3 times the spread": {"ratio": 3.0},
        "seeds with tails of t3": {"spread": 2.0, "tails": "t3"},
        "5 % of all seeds collapse": {"collapse": (0.05, 0.05)},
        "20 % of the trials are missing": {"missing": 0.2},
        "images matter to all variants alike": {"own": 0.0},
        "half of the images in clusters of 4, known": {"twins": (0.5, 4)},
        "a tenth of the images in pairs, unknown": {"twins": (0.1, 2), "twins_known": False},
    }
    wide = ("seeds with tails of t3", "5 % of all seeds collapse")
    return [Scenario(TROUBLE, name, World(seeds, **knobs), wide=name in wide) for name, knobs in kinds.items() for seeds in SEEDS]  # type: ignore[arg-type]


def _families() -> list[Scenario]:
    nulls = {
        "no effect": {},
        "no effect, seeds with tails of t3": {"tails": "t3", "spread": 2.0},
        "no effect, 3 times the spread": {"ratio": 3.0},
    }
    found = [
        Scenario(FAMILIES, name, World(seeds, 1000, effects=(0.0,) * 5, **knobs), wide="t3" in name)  # type: ignore[arg-type]
        for name, knobs in nulls.items()
        for seeds in SEEDS
    ]
    return [*found, *(Scenario(FAMILIES, "one effect of 3 points", World(seeds, 3589, effects=(3.0, 0, 0, 0, 0))) for seeds in SEEDS)]


def _margin() -> list[Scenario]:
    return [
        *(Scenario(MARGIN, "effect of the margin of 2", World(seeds, 3589, effects=(2.0,), margin=2.0)) for seeds in SEEDS),
        *(
            Scenario(MARGIN, "five effects of the margin of 3", World(seeds, 1000, effects=(3.0, -3.0) * 2 + (3.0,), margin=3.0))
            for seeds in SEEDS
        ),
        *(Scenario(MARGIN, "no effect, margin of 3", World(seeds, 3589, margin=3.0)) for seeds in SEEDS),
    ]


def _limits() -> list[Scenario]:
    return [
        *(Scenario(LIMITS, "5 % of one variant's seeds collapse", World(seeds, collapse=(0.0, 0.05)), holds=False) for seeds in SEEDS),
        *(
            Scenario(LIMITS, "half of the images in clusters of 4, unknown", World(seeds, twins=(0.5, 4), twins_known=False), holds=False)
            for seeds in SEEDS
        ),
    ]


def _factorials() -> list[Scenario]:
    planted = {"no effect": (0.0,) * 7, "a main effect of 3 points and an interaction of 2": effects((3.0, 0.0, 0.0), (2.0, 0.0, 0.0))}
    return [
        Scenario(FACTORIALS, name, World(seeds, 1000, effects=own), factorial=True, effort=0.7)
        for name, own in planted.items()
        for seeds in SEEDS
    ]


def _metrics() -> list[Scenario]:
    return [
        Scenario(METRICS, "no effect" if not effect else "better", ClassWorld(seeds, effects=(effect,)), effort=0.4)
        for effect in (0.0, 3.0)
        for seeds in SEEDS
    ]


def _ledgers() -> list[Scenario]:
    return [
        Scenario(LEDGERS, "no effect", ClassWorld(3, 300, effects=(0.0,) * 3), effort=0.1, ledgers=True),
        Scenario(
            LEDGERS, "no effect, 10 % of the trials failed", ClassWorld(5, 300, effects=(0.0,) * 3), effort=0.1, ledgers=True, lost=0.1
        ),
        Scenario(LEDGERS, "one factor helps", ClassWorld(5, 1000, effects=(-6.0, 0.0, 0.0)), effort=0.1, ledgers=True),
    ]
