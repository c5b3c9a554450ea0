"""Near-identical images, on both sides of a split or within one: found by a hash of their gradients, verified by their pixels.

The hash is dHash (N. Krawetz, "Kind of Like That", hackerfactor.com, 2013): the picture is averaged down to 8 rows of 9 grey values, and
each of 64 bits says whether a value is darker than its right neighbour. Pairs within DISTANCE bits are compared by the correlation of
their pixels, which neither brightness nor contrast changes. Both limits come from FER2013: pairs within them are one photograph, saved or
cropped anew; a few more such pairs lie beyond, among different ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DISTANCE = 8
"""Bits of 64 in which the hashes of near-identical images may differ."""

CORRELATION = 0.95
"""Of the pixels of near-identical images, at least."""

SMALL = 32
SMALL_CORRELATION = 0.995
"""The same for images of fewer than SMALL pixels a side, of which different ones look much alike."""

MOST_PAIRS = 20_000_000_000
"""Of more pairs of hashes, which would take minutes, only equal ones are looked at."""

CANDIDATES = 256
"""So many other images at most, of another split those of the nearest hashes, are compared with one image."""

FLAT = 2.0
"""Standard deviation of grey values below which an image shows nothing; such images are alike where their means are."""


@dataclass(frozen=True)
class Twin:
    """Two near-identical images by their numbers: ``image`` of the split that is looked at, ``other`` of the earlier split."""

    image: int
    other: int


def describe(
    images: Mapping[str, NDArray[np.uint8]], labels: Mapping[str, NDArray[np.int64]], names: Mapping[str, Sequence[str]]
) -> list[str]:
    """A sentence for every two splits that share near-identical images: how many, how many under another class, and a few names.

    ``images`` are uint8 [n, channels, height, width] by split.
    """
    prints = {split: _Prints(given) for split, given in images.items() if len(given)}
    sentences = []
    for earlier, later in (("train", "validation"), ("train", "test"), ("validation", "test")):
        if earlier not in prints or later not in prints:
            continue
        found = twins(prints[later], prints[earlier])
        if not found:
            continue
        differ = sum(-1 < labels[later][twin.image] != labels[earlier][twin.other] for twin in found)
        pairs = [f"{names[later][twin.image]} and {names[earlier][twin.other]}" for twin in found[:3]]
        verb = "is" if len(found) == 1 else "are"
        kind = "training" if earlier == "train" else earlier
        sentences.append(
            f"{len(found):,} of {len(prints[later].grey):,} {later} images {verb} near-identical to a {kind} image"
            f"{f', {differ:,} of them of another class' if differ else ''}; for example {'; '.join(pairs)}"
        )
    return sentences


def describe_within(images: NDArray[np.uint8], names: Sequence[str]) -> list[str]:
    """A sentence, if any, about near-identical images [n, channels, height, width] among those from which each seed draws two splits."""
    number = groups(images)
    sizes = np.bincount(number)
    several = np.flatnonzero(sizes > 1)
    if not len(several):
        return []
    pairs = [" and ".join(names[place] for place in np.flatnonzero(number == one)[:2]) for one in several[:3]]
    return [
        f"{int(sizes[several].sum()):,} of {len(images):,} images that seeds divide into training and validation are near-identical to "
        f"another of them, so that some of these stand on both sides; for example {'; '.join(pairs)}"
    ]


def groups(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Numbers the images [n, channels, height, width] of one split from 0, so that near-identical ones share their number [n].

    So do images that are linked by a chain of near-identical ones.
    """
    places: dict[bytes, int] = {}
    number = [places.setdefault(hashlib.sha256(image.tobytes()).digest(), len(places)) for image in images]
    kept = np.unique(number, return_index=True)[1]  # of equal images one is compared with the others
    prints = _Prints(images[kept])
    count = len(kept)
    distance = DISTANCE if count * count <= MOST_PAIRS else 0
    pairs: list[tuple[int, int]] = []
    for start in range(0, count, 128):
        apart = np.bitwise_count(prints.hashes[start : start + 128, None] ^ prints.hashes[None, start:])
        for row, bits in enumerate(apart):
            candidates = row + 1 + np.flatnonzero(bits[row + 1 :] <= distance)[:CANDIDATES]
            if len(candidates):
                likeness = _likeness(prints.grey[start + row], prints.grey[start + candidates])
                pairs += [(start + row, start + int(other)) for other in candidates[likeness >= prints.limit]]
    ends = np.array(pairs, dtype=int).reshape(-1, 2).T
    from scipy import sparse  # not above: it takes a third of a second to load, in each process that has to do with data
    from scipy.sparse import csgraph

    links = sparse.coo_array((np.ones(len(pairs), bool), (ends[0], ends[1])), shape=(count, count))
    return np.asarray(csgraph.connected_components(links, directed=False)[1], dtype=np.int64)[number]


class _Prints:
    """What is compared of the images of a split: grey values, hashes, means and deviations."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        count, channels, height, width = images.shape
        self.grey = np.empty((count, height, width), np.uint8)
        self.hashes = np.empty(count, np.uint64)
        down, across = _averaging(8, height), _averaging(9, width).T
        for start in range(0, count, 2048):
            part = images[start : start + 2048]
            values = part[:, 0] if channels == 1 else part.mean(1, dtype=np.float32)
            self.grey[start : start + 2048] = values
            small = down @ values.astype(np.float32) @ across
            bits = (small[:, :, 1:] > small[:, :, :-1]).reshape(len(part), 64)
            self.hashes[start : start + 2048] = np.packbits(bits, axis=1).view(">u8")[:, 0]

    @property
    def limit(self) -> float:
        """The correlation that near-identical images of this size have at least."""
        return CORRELATION if min(self.grey.shape[1:]) >= SMALL else SMALL_CORRELATION


def twins(later: _Prints, earlier: _Prints) -> list[Twin]:
    """For every image of one split the most similar near-identical image of the other, if there is any, in the order of the images."""
    distance = DISTANCE if len(later.grey) * len(earlier.grey) <= MOST_PAIRS else 0
    found = []
    for start in range(0, len(later.grey), 128):
        chunk = later.hashes[start : start + 128]
        if distance:
            apart = np.bitwise_count(chunk[:, None] ^ earlier.hashes[None, :])
            rows = [(image, np.flatnonzero(row <= distance), row) for image, row in enumerate(apart) if row.min() <= distance]
        else:
            rows = [(image, np.flatnonzero(earlier.hashes == value), earlier.hashes) for image, value in enumerate(chunk)]
        for image, candidates, row in rows:
            if len(candidates) > CANDIDATES:
                candidates = candidates[np.argsort(row[candidates], kind="stable")[:CANDIDATES]]
            if not len(candidates):
                continue
            likeness = _likeness(later.grey[start + image], earlier.grey[candidates])
            best = int(np.argmax(likeness))
            if likeness[best] >= later.limit:
                found.append(Twin(start + image, int(candidates[best])))
    return found


def _likeness(image: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The correlation of an image's pixels with those of each of the others; 1 for two that show nothing, if equally bright."""
    one = image.astype(np.float32).ravel()
    many = others.reshape(len(others), -1).astype(np.float32)
    mean, means = one.mean(), many.mean(1)
    one, many = one - mean, many - means[:, None]
    deviation, deviations = one.std(), many.std(1)
    flat = (deviations < FLAT) & (deviation < FLAT) & (np.abs(means - mean) < FLAT)
    scale = np.maximum(deviation * deviations, 1e-6) * one.size
    correlation = np.where((deviations < FLAT) | (deviation < FLAT), 0.0, many @ one / scale)
    return np.where(flat, 1.0, correlation).astype(np.float32)


def _averaging(parts: int, size: int) -> NDArray[np.float32]:
    """The matrix [parts, size] that averages so many values over parts of equal length."""
    edges = np.linspace(0, size, parts + 1)
    begin, end = edges[:-1, None], edges[1:, None]
    cells = np.arange(size)[None, :]
    weights = np.clip(np.minimum(end, cells + 1) - np.maximum(begin, cells), 0, None)
    averaged: NDArray[np.float32] = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return averaged
