"""Where a step's time goes: input and augmentation, penalties, and the rest, as shares of whole steps measured in turns with them."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.figures import Figure, Spread
from benchmarks.training import REFERENCE, noise

BATCH = 128
STEPS = 8
"""In each round, of each part."""


def figures(rounds: int, threads: int = 1) -> list[Figure]:
    """Shares of the reference CNN's step on a processor."""
    import torch

    from ferray.config import Config
    from ferray.seeds import derive
    from ferray.training import fit
    from ferray.training.augmentation import augment, draw
    from ferray.training.models import build
    from ferray.training.normalization import InputNormalization
    from ferray.training.optimization import Optimization

    config = Config.model_validate({**REFERENCE, "threads": threads, "epochs": 100_000})
    data = noise(BATCH * STEPS)
    images = torch.from_numpy(data.train.images)
    normalize = InputNormalization(config.input_normalization, images, torch.device("cpu"))
    epochs = fit(config, data)
    next(epochs)  # which also sets the process up
    optimizations = {}
    for name, settings in (("penalty", {}), ("none", {"l1": 0.0, "l2": 0.0})):
        own = config.model_copy(update=settings)
        model = build(own, data.image_shape, len(data.classes))
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizations[name] = (model, Optimization(model, own))

    def whole() -> None:
        next(epochs)

    def inputs() -> None:
        generator = torch.Generator().manual_seed(derive(config.seed, "order", 1))
        order = torch.randperm(len(images), generator=generator)
        draws = draw(config.augmentation, len(images), seed=config.seed, epoch=1)
        for batch in order.split(BATCH):
            normalize(augment(images[batch].float(), config.augmentation, {name: values[batch] for name, values in draws.items()}))

    def step(name: str) -> Callable[[], None]:
        model, optimization = optimizations[name]

        def run() -> None:
            for _ in range(STEPS):
                for parameter in model.parameters():
                    parameter.grad = parameter.detach()
                optimization.step(config.learning_rate)

        return run

    parts = {"whole": whole, "inputs": inputs, "penalty": step("penalty"), "none": step("none")}
    for part in parts.values():
        part()
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    for number in range(rounds):
        for name in list(parts)[:: 1 if number % 2 == 0 else -1]:
            start = time.perf_counter()
            parts[name]()
            seconds[name].append((time.perf_counter() - start) / STEPS)
    penalties = [max(0.0, with_it - without) for with_it, without in zip(seconds["penalty"], seconds["none"], strict=True)]
    return [
        _share("input_share", "input and augmentation", seconds["inputs"], seconds["whole"]),
        _share("penalty_share", "l1 and l2 penalties", penalties, seconds["whole"]),
    ]


def _share(key: str, title: str, part: list[float], whole: list[float]) -> Figure:
    return Figure(
        key=key,
        title=f"{title}, of a step",
        unit="ms",
        value=Spread.of([1000 * one for one in part]),
        peer="whole step",
        peer_value=Spread.of([1000 * one for one in whole]),
        ratio=Spread.of([one / other for one, other in zip(part, whole, strict=True)]),
        target=0.03,
        better="less",
    )
