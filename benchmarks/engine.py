"""The training engine on processors: images per second beside the reference's own way, the tutorials' and what the machine can do."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.contender import Contender, Sample, in_turns
from benchmarks.figures import Figure, Spread

GFLOP_PER_IMAGE = 0.368
"""Of the reference CNN at 48x48, forward and backward; ``torch.utils.flop_counter`` counts it in tests/test_benchmarks.py."""
PRODUCT = 2048
"""Rows and columns of the matrices whose product stands for what the machine can do."""
TUTORIAL, KERAS, KERAS_ONEDNN = "PyTorch tutorial", "Keras on TensorFlow as installed", "Keras on TensorFlow with oneDNN"
PEERS = {KERAS: ("keras", 2.5, 3.0), KERAS_ONEDNN: ("keras_onednn", 2.5, 3.0), TUTORIAL: ("tutorial", 4.0, 5.0)}
"""Part of a figure's key, target and aim of each."""


def figures(rounds: int, images: int) -> list[Figure]:
    """All of them, from so many rounds over so many training images each.

    A contender works with all cores: in one process that has them all, or in one process for each. Of either way the faster one counts,
    for ferray and its peers alike, and all are told.
    """
    from ferray.config import Config

    cores = os.cpu_count() or 1
    precision = Config().precision
    ways: dict[str, list[Contender]] = {
        "ferray": _both_ways("ferray", "training:ferray", {"images": images}, cores),
        TUTORIAL: _both_ways(TUTORIAL, "peers.tutorial:train", {"images": images}, cores),
        "ferray, DNN": _both_ways("ferray, DNN", "training:ferray", {"images": images, **DNN}, cores)[:1],
        "matrix product": [
            Contender("matrix product", "training:matrix_product", {"size": PRODUCT, "threads": 1, "precision": precision}, cores)
        ],
    }
    if importlib.util.find_spec("tensorflow") is not None:
        for name, onednn in ((KERAS, False), (KERAS_ONEDNN, True)):
            ways[name] = _both_ways(name, "peers.keras_reference:train", {"images": images, "onednn": onednn}, cores)
    samples = in_turns([one for several in ways.values() for one in several], rounds)
    best = {name: max(several, key=lambda one: Spread.of(rates(samples[one.name])).median).name for name, several in ways.items()}
    return [*_beside_peers(samples, best), *_beside_the_machine(samples, best, precision), *_side_by_side(samples, ways)]


DNN = {"model": "dnn", "dropout": 0.0, "batch_norm": False}


def _both_ways(name: str, way: str, settings: Mapping[str, object], cores: int) -> list[Contender]:
    """A process for each core, which is how trials run, and one process with all of them."""
    return [
        Contender(f"{name}, {cores} x 1 thread", way, {**settings, "threads": 1}, cores),
        Contender(f"{name}, 1 x {cores} threads", way, {**settings, "threads": cores}),
    ]


def rates(samples: Sequence[Sample]) -> list[float]:
    """What was done per second, round by round."""
    return [one.rate for one in samples]


def ratios(samples: Sequence[Sample], others: Sequence[Sample]) -> Spread:
    """Of the rates of two contenders that ran in turns, round by round."""
    return Spread.of([one.rate / other.rate for one, other in zip(samples, others, strict=True)])


def _memory(samples: Sequence[Sample]) -> int:
    return max(one.memory for one in samples)


def _beside_peers(samples: Mapping[str, Sequence[Sample]], best: Mapping[str, str]) -> Iterator[Figure]:
    own = samples[best["ferray"]]
    limit = [Sample(one.rate / GFLOP_PER_IMAGE, one.seconds, one.memory) for one in samples["matrix product"]]
    for peer, (short, target, aim) in PEERS.items():
        key = f"cnn_beside_{short}"
        title = f"reference CNN, {best['ferray']}"
        if peer not in best:
            reason = "TensorFlow is not installed (pip install -e '.[benchmark]')"
            yield Figure(key, title, "images/s", Spread.of(rates(own)), peer, target=target, aim=aim, memory=_memory(own), reason=reason)
            continue
        other = samples[best[peer]]
        yield Figure(
            key=key,
            title=title,
            unit="images/s",
            value=Spread.of(rates(own)),
            peer=best[peer],
            peer_value=Spread.of(rates(other)),
            ratio=ratios(own, other),
            target=target,
            aim=aim,
            memory=_memory(own),
            peer_memory=_memory(other),
        )
        yield Figure(
            key=f"limit_beside_{short}",
            title="if all of it went as fast as the matrix product",
            unit="images/s",
            value=Spread.of(rates(limit)),
            peer=best[peer],
            peer_value=Spread.of(rates(other)),
            ratio=ratios(limit, other),
        )
    dense = samples[best["ferray, DNN"]]
    yield Figure(
        key="dnn_beside_cnn",
        title="reference DNN",
        unit="images/s",
        value=Spread.of(rates(dense)),
        peer=best["ferray"],
        peer_value=Spread.of(rates(own)),
        ratio=ratios(dense, own),
        target=10.0,
        memory=_memory(dense),
        peer_memory=_memory(own),
    )


def _beside_the_machine(samples: Mapping[str, Sequence[Sample]], best: Mapping[str, str], precision: str) -> Iterator[Figure]:
    own, product = samples[best["ferray"]], samples["matrix product"]
    reached = [Sample(one.rate * GFLOP_PER_IMAGE, one.seconds, one.memory) for one in own]
    yield Figure(
        key="cnn_beside_matrix_product",
        title=f"reference CNN in {precision}",
        unit="GFLOP/s",
        value=Spread.of(rates(reached)),
        peer=f"{precision} matrix product of {PRODUCT} x {PRODUCT}",
        peer_value=Spread.of(rates(product)),
        ratio=ratios(reached, product),
        target=0.6,
        aim=0.7,
        memory=_memory(own),
    )


def _side_by_side(samples: Mapping[str, Sequence[Sample]], ways: Mapping[str, Sequence[Contender]]) -> Iterator[Figure]:
    for name in ("ferray", *PEERS):
        if name in ways:
            apart, together = (samples[one.name] for one in ways[name])
            yield Figure(
                key=f"side_by_side_{'ferray' if name == 'ferray' else PEERS[name][0]}",
                title=ways[name][0].name,
                unit="images/s",
                value=Spread.of(rates(apart)),
                peer=ways[name][1].name,
                peer_value=Spread.of(rates(together)),
                ratio=ratios(apart, together),
                memory=_memory(apart),
                peer_memory=_memory(together),
            )
