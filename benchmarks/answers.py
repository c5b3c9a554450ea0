"""Whether fast training gives the answers of plain training: how far ``fit`` and the plain path in float32 are from float64.

Rounding grows along a training, with batch normalization within a few steps from a millionth to a percent, so that no fixed distance
after 50 steps tells right from wrong. What does is that ``fit`` is no further from the plain path in float64, the truth, than a few
times as far as the plain path in float32, and that a single step from the same weights is the same but for rounding.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.distance import FLOOR, Distance, StepDistance, distances, first_weights, learned, of_ferray, ratios, step_distance
from benchmarks.figures import Figure, Spread

if TYPE_CHECKING:
    from ferray.config import Config
    from ferray.data import Dataset

STEPS = 50
BATCH = 16
AUGMENTATION = {
    "rotation": 31.4, "horizontal_flip": 0.5, "shift": 0.1, "zoom": 0.1, "brightness": 0.1, "contrast": 0.1, "erasing": 0.3,
}  # fmt: skip
EVERYTHING: dict[str, Any] = {
    "width": 0.25,
    "batch_norm": True,
    "dropout": 0.3,
    "augmentation": AUGMENTATION,
    "l1": 1e-3,
    "l2": 1e-3,
    "label_smoothing": 0.1,
    "learning_rate": 1e-3,
    "batch_size": BATCH,
    "precision": "fp32",
    "threads": 1,
}
"""Everything that can be wrong at once."""
WAYS: dict[str, dict[str, Any]] = {
    "Adam": {},
    "Adam without penalties": {"l1": 0.0, "l2": 0.0},
    "SGD": {"optimizer": "sgd", "learning_rate": 1e-2},
}
NETWORKS: dict[str, dict[str, Any]] = {
    f"{model.upper()} {kind} batch norm": {"model": model, "width": width, "batch_norm": kind == "with"}
    for model, width in (("cnn", 0.125), ("dnn", 0.25))
    for kind in ("without", "with")
}
TIMES = 3.0
"""``fit`` is at most so many times as far from float64 as plain float32 is: in the median of seeds, on (geometric) average of the steps."""
GRADIENTS = 1e-4
"""In the median of seeds and places, those of a step from the same weights are no further from float64's, as a share of their length."""
PLAIN = "plain path in float32"
PLACES = (0, 10, 25, 49)
"""Steps that have been taken before one is looked at by itself."""


def trained(config: Config, data: Dataset) -> tuple[list[Distance], list[Distance]]:
    """After each epoch: how far ``fit``, and the plain path in float32, are from the plain path in float64."""
    import torch

    from benchmarks.peers import plain

    exact, first = list(plain.train(config, data, torch.float64)), first_weights(config, data)
    return distances(list(of_ferray(config, data)), exact, first), distances(list(plain.train(config, data)), exact, first)


def steps(config: Config, data: Dataset, places: Sequence[int] = PLACES) -> Iterator[tuple[StepDistance, StepDistance]]:
    """Of single steps from what ``fit`` has learned after so many: of ``fit``, and of the plain path in float32, from float64.

    An epoch must be one step.
    """
    import torch

    from benchmarks.peers import plain
    from ferray.training import fit

    states = {0: None, **{epoch.row["epoch"]: epoch.state() for epoch in fit(config, data) if epoch.row["epoch"] in places}}
    for place in places:
        after = states[place]
        first = first_weights(config, data) if after is None else learned(after)
        exact, plainly = (next(plain.train(config, data, kind, after)) for kind in (torch.float64, torch.float32))
        yield step_distance(next(of_ferray(config, data, after)), exact, first), step_distance(plainly, exact, first)


def figures(rounds: int, taken: int = STEPS) -> list[Figure]:
    """Of so many seeds each, on synthetic faces: 50 steps of every network and way, a batch each, and single steps among them."""
    kinds = [(network, way) for network in NETWORKS for way in WAYS]
    jobs = [(*kind, seed, taken) for kind in kinds for seed in range(rounds)]
    # Several at a time: how far one is from another does not depend on what else the machine does.
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as processes:
        looks = list(processes.map(_look, jobs, chunksize=1))
        first = list(processes.map(_reference, range(rounds), chunksize=1))
    found: list[Figure] = []
    for place, (network, way) in enumerate(kinds):
        key, title = f"{network} {way}".lower().replace(" ", "_"), f"{network}, {way}"
        found += _of_looks(key, title, looks[place * rounds : (place + 1) * rounds])
    furthest = max(one.value.median for one in found if one.value is not None and one.key.endswith("gradients"))
    title = "furthest of these medians of one step's gradients"
    found.append(Figure("gradients_furthest", title, "", Spread.of([furthest]), target=GRADIENTS, better="less"))
    return [*found, _beside("reference_gradients", "reference CNN, batch of 128, first step: gradients", *_by_place(first, "gradients"))]


@dataclass(frozen=True)
class _Look:
    """At one training: distances step by step, and of single steps, each of ``fit`` and of the plain path in float32."""

    training: tuple[list[Distance], list[Distance]]
    steps: list[tuple[StepDistance, StepDistance]]


def _look(job: tuple[str, str, int, int]) -> _Look:
    import torch

    from ferray.config import Config

    torch.set_num_threads(1)
    network, way, seed, taken = job
    config = Config.model_validate({**EVERYTHING, **NETWORKS[network], **WAYS[way], "epochs": taken, "seed": seed})
    data = _faces(BATCH)
    return _Look(trained(config, data), list(steps(config, data, [place for place in PLACES if place < taken])))


def _faces(images: int) -> Dataset:
    """So many synthetic faces to train on, and as many for validation."""
    from ferray.data import Dataset, Split
    from ferray.data.synthetic import generate

    faces = generate(4 * images)
    splits = {name: Split(split.images[:images], split.labels[:images]) for name, split in faces.splits.items()}
    return Dataset.build("some synthetic faces", faces.classes, splits, synthetic=True)


def _reference(seed: int) -> tuple[StepDistance, StepDistance]:
    """The first step of the reference study's CNN, with its batch of 128 images."""
    import torch

    from ferray.config import Config

    torch.set_num_threads(1)
    config = Config.model_validate({**EVERYTHING, "width": 1.0, "batch_size": 128, "epochs": 1, "seed": seed})
    return next(steps(config, _faces(128), (0,)))


def _of_looks(key: str, title: str, looks: Sequence[_Look]) -> Iterator[Figure]:
    """Of 50 steps the largest distances, and their ratio on average of the steps; of single steps all that they change."""
    for name, told in (("loss", "losses over the steps"), ("weights", "weights over the steps")):
        own, plainly = ([max(getattr(one, name) for one in look.training[place]) for look in looks] for place in (0, 1))
        yield _beside(f"{key}_{name}", f"{title}: {told}", own, plainly, [ratios(*look.training)[name] for look in looks])
    pairs = [pair for look in looks for pair in look.steps]
    for name in ("gradients", "weights", "statistics"):
        own, plainly = _by_place(pairs, name)
        if max(own) > 0:  # there are no statistics without batch normalization
            yield _beside(f"{key}_step_{name}", f"{title}, one step: {name}", own, plainly)


def _by_place(pairs: Sequence[tuple[StepDistance, StepDistance]], name: str) -> tuple[list[float], list[float]]:
    return [getattr(own, name) for own, _ in pairs], [getattr(plainly, name) for _, plainly in pairs]


def _beside(key: str, title: str, own: Sequence[float], plainly: Sequence[float], times: Sequence[float] | None = None) -> Figure:
    ratio = [one / max(other, FLOOR) for one, other in zip(own, plainly, strict=True)] if times is None else times
    return Figure(key, title, "", Spread.of(own), PLAIN, Spread.of(plainly), Spread.of(ratio), target=TIMES, better="less")
