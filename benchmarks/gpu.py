"""One GPU: an epoch of one trial, and what many trials do together, beside eager PyTorch and a process for each trial. Needs no Ray."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.contender import Contender, Sample, in_turns
from benchmarks.figures import Figure, Spread

IMAGES, EVALUATED = 28_709, 3_589
"""FER2013's splits."""
MANY = 16
"""Trials on the GPU for which a target is set."""
COUNTS = (4, 8, MANY, 32)
EAGER, TUTORIAL = "eager PyTorch, one trial at a time", "PyTorch tutorial"
NO_GPU = "torch finds no CUDA GPU here"
AGREEMENT = ("gpu_agreement", "largest difference of a probability between a trial in a pack and by itself", "")
TOLERANCE = 0.02
"""Of class probabilities after an epoch, between a trial by itself and the same one in a pack."""


def figures(rounds: int, *, quick: bool = False) -> list[Figure]:
    """All of them; "not measured" where there is no GPU."""
    import torch

    is_there = torch.cuda.is_available()
    size = {"images": 2_560, "evaluated": 256} if quick else {"images": IMAGES, "evaluated": EVALUATED}
    counts = COUNTS[:1] if quick else COUNTS
    told = list(_solo(in_turns(alone(size, "cuda"), rounds) if is_there else {}))
    for count in counts:
        told += _many(in_turns(many(count, size, "cuda"), rounds) if is_there else {}, count)
    return [*told, agreement("cuda", 2_560) if is_there else Figure(*AGREEMENT, target=TOLERANCE, better="less", reason=NO_GPU)]


def alone(size: Mapping[str, int], device: str, **settings: Any) -> list[Contender]:
    """Ways to train one trial at a time; ``settings`` are fields of ferray's config."""
    given = {**size, "device": device, **settings}
    return [
        Contender("ferray", "training:ferray", given),
        Contender("not recorded", "training:ferray", {**given, "recorded": False}),
        Contender("compiled", "training:ferray", {**given, "compiled": True}),
        Contender(EAGER, "peers.eager:train", {**size, "device": device}),
        Contender(TUTORIAL, "peers.tutorial:train", {"images": size["images"], "threads": 4, "device": device}),
    ]


def many(count: int, size: Mapping[str, int], device: str, **settings: Any) -> list[Contender]:
    """Ways to train so many trials; a process for each is what Ray's fractions of a GPU come to."""
    given = {**size, "device": device, **settings}
    return [
        Contender("together", "training:together", {**given, "trials": count}),
        *([Contender("apart", "training:ferray", given, count)] if count <= MANY else []),  # each process has its part of the GPU's memory
        Contender(EAGER, "peers.eager:train", {**size, "device": device}),
    ]


def _solo(samples: Mapping[str, Sequence[Sample]]) -> Iterator[Figure]:
    yield _seconds(samples)
    title = "reference CNN, one trial, evaluation included"
    yield _beside(samples, "ferray", EAGER, "gpu_beside_eager", title)
    yield _beside(samples, "ferray", TUTORIAL, "gpu_beside_tutorial", title)
    yield _beside(samples, "ferray", "not recorded", "gpu_recorded", "steps recorded as CUDA graphs")
    yield _beside(samples, "compiled", "ferray", "gpu_compiled", "recorded steps of a network that torch compiled")


def _many(samples: Mapping[str, Sequence[Sample]], count: int) -> Iterator[Figure]:
    asked = {"target": 6.0, "aim": 12.0} if count == MANY else {}
    yield _beside(samples, "together", EAGER, f"gpu_{count}_beside_eager", f"{count} trials in one process", **asked)
    if count <= MANY:
        yield _beside(samples, "together", "apart", f"gpu_{count}_beside_processes", f"{count} trials in one process")
    if count == MANY:
        given = ("gpu_images_per_second", f"{count} trials in one process, in all", "images/s")
        value = Spread.of([one.rate for one in samples["together"]]) if samples else None
        yield Figure(*given, value, target=300_000.0, aim=500_000.0, reason=None if samples else NO_GPU)


def _seconds(samples: Mapping[str, Sequence[Sample]]) -> Figure:
    key, title, unit = "gpu_epoch_seconds", "an epoch of the reference CNN on FER2013's numbers of images, evaluation included", "s"
    if not samples:
        return Figure(key, title, unit, target=0.2, aim=0.1, better="less", reason=NO_GPU)
    return Figure(key, title, unit, Spread.of([one.seconds for one in samples["ferray"]]), target=0.2, aim=0.1, better="less")


def _beside(samples: Mapping[str, Sequence[Sample]], name: str, peer: str, key: str, title: str, **asked: float) -> Figure:
    beside = {"ferray": "the network as it is", "not recorded": "steps launched one by one", "apart": "a process for each"}.get(peer, peer)
    if not samples:
        return Figure(key, title, "images/s", peer=beside, reason=NO_GPU, **asked)
    own, other = samples[name], samples[peer]
    return Figure(
        key=key,
        title=title,
        unit="images/s",
        value=Spread.of([one.rate for one in own]),
        peer=beside,
        peer_value=Spread.of([one.rate for one in other]),
        ratio=Spread.of([one.rate / another.rate for one, another in zip(own, other, strict=True)]),
        memory=max(one.memory for one in own),
        peer_memory=max(one.memory for one in other),
        **asked,
    )


def agreement(device: str, images: int, trials: int = 4, **settings: Any) -> Figure:
    """How far apart a trial in a pack and the same one by itself are after an epoch."""
    from benchmarks.training import deviations

    return Figure(*AGREEMENT, Spread.of(deviations(images, trials, device=device, **settings)), target=TOLERANCE, better="less")
