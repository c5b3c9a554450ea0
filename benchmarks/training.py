"""Ways to train the reference study's networks on images of FER2013's size, as contenders: ferray's own, and the machine's limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from benchmarks.contender import Round
    from ferray.config import Config
    from ferray.data import Dataset
    from ferray.training import Epoch
    from ferray.training.pack import Pack

SIZE = 48
CLASSES = 7
REFERENCE = {
    "batch_size": 128,
    "learning_rate": 1e-3,
    "l1": 3e-5,
    "l2": 5e-5,
    "augmentation": {"rotation": 31.4, "horizontal_flip": 0.5},
}
"""The reference study's settings, by the names of ferray's config."""


def pixels(images: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Grey images [n, 1, 48, 48] and labels [n] of no meaning: no network is any slower on them."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (images, 1, SIZE, SIZE), dtype=np.uint8), generator.integers(0, CLASSES, images)


def ferray(images: int, evaluated: int = 1, *, recorded: bool = True, compiled: bool = False, **settings: Any) -> Round:
    """An epoch of ferray's ``fit``, with an evaluation of two splits of so many images each. ``settings`` are fields of its config.

    Steps that could be ``recorded`` may be kept from it, and the network can be ``compiled`` by torch beside.
    """
    from ferray.training import epochs as module
    from ferray.training import steps

    if not recorded:
        steps.is_capturable = lambda config, device: False
    if compiled:
        import torch

        build = module.build
        module.build = lambda *arguments: torch.compile(build(*arguments))  # type: ignore[attr-defined]
    epochs = _epochs(images, evaluated, settings)
    for _ in range(1 if settings.get("device", "cpu") == "cpu" else WARM):
        next(epochs)

    def one_round() -> float:
        next(epochs)
        return images

    return one_round


def together(images: int, trials: int, evaluated: int = 1, **settings: Any) -> Round:
    """An epoch of so many trials of different seeds, packed into one process."""
    _, epochs = _pack(noise(images, evaluated), range(trials), settings)

    def one_round() -> float:
        epochs()
        return images * trials

    for _ in range(1 if settings.get("device", "cpu") == "cpu" else WARM):
        one_round()
    return one_round


def deviations(images: int, trials: int, **settings: Any) -> list[float]:
    """For each of so many trials the largest difference of a probability between it in a pack and by itself, after an epoch."""
    import numpy as np

    from ferray.training import fit

    data = noise(images, EVALUATED)
    pack, epochs = _pack(data, range(trials), settings)
    with pack:
        together = epochs()
    alone = [next(fit(_config({**settings, "seed": seed}), data)) for seed in range(trials)]
    pairs = [(one.probabilities["validation"], other.probabilities["validation"]) for one, other in zip(together, alone, strict=True)]
    return [float(np.abs(one - other).max()) for one, other in pairs]


def _pack(data: Dataset, seeds: Iterable[int], settings: dict[str, Any]) -> tuple[Pack, Callable[[], list[Epoch]]]:
    """A pack of a trial for each seed, and what asks each for its next epoch and waits for all."""
    from ferray.attachments import Attachments
    from ferray.training.epochs import turns
    from ferray.training.pack import Pack

    pack = Pack()

    def begin(seed: int) -> Any:
        config = _config({**settings, "seed": seed})
        return pack.add(lambda state: turns(config, data, state, attachments=Attachments(), steps=TURN), kind="cnn")

    seats = [begin(seed) for seed in seeds]
    return pack, lambda: [asked.result() for asked in [seat.epoch() for seat in seats]]


WARM = 5
"""Epochs on a GPU before anything is measured: the last batch of an epoch, which has a size of its own, is recorded in the fourth."""
EVALUATED = 64
"""Images on which trials are compared."""
TURN = 4
"""Steps of a trial between two of others."""


def noise(images: int, evaluated: int = 1) -> Dataset:
    """Images of no meaning to train on, and to evaluate on."""
    from ferray.data.dataset import Dataset, Split

    train, other = (Split(*pixels(n)) for n in (images, evaluated))
    return Dataset.build("noise", tuple("abcdefg"), {"train": train, "validation": other, "test": other}, synthetic=True)


def _epochs(images: int, evaluated: int, settings: dict[str, Any]) -> Iterator[Any]:
    from ferray.training import fit

    return fit(_config(settings), noise(images, evaluated))


def _config(settings: dict[str, Any]) -> Config:
    from ferray.config import Config

    return Config.model_validate({**REFERENCE, "epochs": 100_000, **settings})


def matrix_product(size: int, threads: int, precision: str) -> Round:
    """A product of two square matrices; what is done is its floating-point operations, in units of 1e9."""
    import torch

    torch.set_num_threads(threads)
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    first, second = (torch.randn(size, size, generator=torch.Generator().manual_seed(n)).to(kind) for n in (0, 1))
    one = 2 * size**3 / 1e9

    def one_round() -> float:
        done, end = 0.0, time.perf_counter() + 1.0
        while time.perf_counter() < end:
            first @ second
            done += one
        return done

    one_round()
    return one_round
