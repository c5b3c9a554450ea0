"""Makes up a ledger folder for tests of the read half: curves, confusions and failures like those of real studies, no training."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ferray.config import Config, digest, overlay, trial_key
from ferray.data_source import DataSource

CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SHARES = np.array([0.138, 0.03, 0.143, 0.25, 0.169, 0.112, 0.158])
CONFUSED = {"sad": "neutral", "surprise": "fear", "disgust": "angry", "fear": "sad", "neutral": "sad", "angry": "sad", "happy": "neutral"}

PATH: dict[str, tuple[dict[str, Any], list[str]]] = {
    "cnn": ({}, []),
    "dnn": ({"model": "dnn"}, []),
    "no augmentation": ({"augmentation.rotation": 0.0, "augmentation.horizontal_flip": 0.0}, ["augmentation"]),
    "no augmentation, input scaling": (
        {"augmentation.rotation": 0.0, "augmentation.horizontal_flip": 0.0, "input_normalization": "none"},
        ["augmentation", "input_scaling"],
    ),
    "no augmentation, input scaling, batch norm": (
        {"augmentation.rotation": 0.0, "augmentation.horizontal_flip": 0.0, "input_normalization": "none", "batch_norm": False},
        ["augmentation", "input_scaling", "batch_norm"],
    ),
}
QUALITY = {"cnn": 0.62, "dnn": 0.37, "no augmentation": 0.57, "no augmentation, input scaling": 0.55}


@dataclass(frozen=True)
class Made:
    """The keys of the trials that a made-up study plans, by variant, sample and seed."""

    path: Path
    name: str
    keys: dict[tuple[str, int, int], str] = field(default_factory=dict)


def make_ledger(
    path: Path,
    *,
    name: str = "report",
    variants: dict[str, tuple[dict[str, Any], list[str]]] | None = None,
    seeds: int = 3,
    samples: list[dict[str, Any]] | None = None,
    search: dict[str, Any] | None = None,
    epochs: int = 12,
    published_epochs: int | None = None,
    subset: int | None = None,
    images: int = 160,
    data_name: str = "FER2013",
    synthetic: bool = False,
    published: dict[str, dict[str, float]] | None = None,
    outcome: dict[tuple[str, int], str] | None = None,
    created: str = "2026-11-20T10:00:00+00:00",
    title: str | None = "The reference study",
    classes: Sequence[str] = CLASSES,
    shape: tuple[int, int, int] = (1, 48, 48),
    test: Literal["labelled", "unlabelled", "absent"] = "labelled",
    votes: bool = False,
    notes: Sequence[str] = (),
    dead: Sequence[str] = (),
    own_draws: Mapping[str, Sequence[dict[str, Any]]] | None = None,
    quality_of: Callable[[str, int], float] | None = None,
    document: Mapping[str, Any] | None = None,
    redrawn: bool = False,
) -> Made:
    """Writes a storage folder.

    ``shape`` is that of the images; ``test`` says what there is of the test split; ``dead`` names settings that change nothing (``seed``
    may be one); ``own_draws`` gives variants samples of their own; ``quality_of`` says about how accurate a variant's sample is (0..1);
    ``document`` is what the study's document says beside or instead of what is made up here; ``redrawn`` says that each seed drew its
    validation split, so that the ledger has its labels alone.

    ``published_epochs`` is how long the networks of the published numbers were trained; ``subset`` the part of the data used.
    ``outcome`` maps (variant, seed) to failed, diverged, missing or running; all others are finished. ``samples`` holds the search
    values of each sample.
    """
    chosen = PATH if variants is None else variants
    fates = outcome or {}
    draws = samples or [{}]
    fingerprint = f"{'5' if synthetic else 'd'}{images:031x}"
    labels = {split: _labels(images, number, len(classes)) for number, split in enumerate(("validation", "test"))}
    if test == "absent":
        labels["test"] = labels["test"][:0]
    elif test == "unlabelled":
        labels["test"] = np.full(images, -1)
    if redrawn:
        labels["validation"] = np.sort(labels["validation"])
    data = _write_data(path, data_name, synthetic, fingerprint, labels, tuple(classes), shape, votes, list(notes), redrawn)
    (path / "ledger.json").write_text(json.dumps({"format": 1}))
    made = Made(path, name)
    plan, described = [], {}
    base = Config(precision="fp32", augmentation={"rotation": 31.4, "horizontal_flip": 0.5}, epochs=epochs).model_dump()  # type: ignore[arg-type]
    for number, (variant, (overrides, removed)) in enumerate(chosen.items()):
        described[variant] = {"overrides": overrides, "removed": removed, "config": _resolve(base, overrides, 0)}
        for sample, values in enumerate((own_draws or {}).get(variant, draws)):
            for seed in range(seeds):
                config = _resolve(base, {**values, **overrides}, seed)
                key = trial_key(Config.parse(config), fingerprint)
                made.keys[variant, sample, seed] = key
                plan.append({"key": key, "variant": variant, "sample": sample, "seed": seed, "overrides": values})
                quality = QUALITY.get(variant, max(0.3, 0.6 - 0.02 * number)) - 0.02 * min(sample, 8)
                if quality_of is not None:
                    quality = quality_of(variant, sample)
                overfits = "augmentation" in removed
                fate = fates.get((variant, seed), "finished")
                if fate != "missing":
                    alive = {name: value for name, value in Config.parse(config).flat().items() if name not in dead}
                    stream = [int(digest(alive)[:12], 16)] if dead else [number, sample, seed]
                    if dead:
                        quality = 0.6
                    _write_trial(path, key, config, fingerprint, labels, len(classes), quality, overfits, fate, stream)
    first = next(iter(chosen))
    length = {} if published_epochs is None else {"epochs": published_epochs}
    study = {
        "name": name,
        "title": title,
        "text": f"name: {name}\nbase: {{model: cnn, epochs: {epochs}}}  # <as the study file says>\nseeds: {seeds}\n",
        "settings": {"name": name, "seeds": list(range(seeds)), "search": search or {}, "data": DataSource(subset=subset).model_dump()},
        "data": data,
        "command": f"python -m ferray.tune {name}.yaml",
        "created": created,
        "baseline": first,
        "variants": described,
        "published": {"cnn": {"validation": 0.62217, "test": 0.62217, **length}} if published is None else published,
        "plan": plan,
        **(document or {}),
    }
    folder = path / "studies" / name
    folder.mkdir(parents=True)
    (folder / "study.json").write_text(json.dumps(study))
    return made


def _resolve(base: dict[str, Any], overrides: dict[str, Any], seed: int) -> dict[str, Any]:
    given = {name: value for name, value in base.items() if name not in ("width", "dropout", "batch_norm")}
    return Config.parse(overlay(given, {**overrides, "seed": seed})).model_dump()


def _shares(size: int) -> NDArray[np.float64]:
    shares = SHARES if size == len(SHARES) else np.linspace(2, 1, size)
    return shares / shares.sum()


def _labels(images: int, seed: int, size: int) -> NDArray[np.int64]:
    drawn = np.random.default_rng(seed + 9).choice(size, images - size, p=_shares(size))
    return np.random.default_rng(seed).permutation(np.concatenate([np.arange(size), drawn]))


def _write_data(
    path: Path,
    name: str,
    synthetic: bool,
    fingerprint: str,
    labels: dict[str, NDArray[np.int64]],
    classes: tuple[str, ...],
    shape: tuple[int, int, int],
    votes: bool,
    notes: list[str],
    redrawn: bool,
) -> dict[str, Any]:
    folder = path / "data" / fingerprint
    folder.mkdir(parents=True)
    size = len(classes)
    counts = {split: np.bincount(own[own >= 0], minlength=size).tolist() for split, own in labels.items()}
    counts = {"train": (4000 * _shares(size)).astype(int).tolist(), **counts}
    unlabelled = labels["test"].size and labels["test"].min() < 0
    reason = "the classes of its images are not known" if unlabelled else "the source has none"
    data = {
        "name": name,
        "classes": list(classes),
        "counts": {split: dict(zip(classes, own, strict=True)) for split, own in counts.items()},
        "synthetic": synthetic,
        "image_shape": list(shape),
        "fingerprint": fingerprint,
        "notes": notes,
        "missing": {} if sum(counts["test"]) else {"test": reason},
        "votes": votes,
        **({"validation_split": "seed"} if redrawn else {}),
    }
    (folder / "data.json").write_text(json.dumps(data))
    arrays: dict[str, NDArray[Any]] = {}
    for split, own in labels.items():
        arrays[f"{split}_labels"] = own
        if redrawn and split == "validation":
            continue
        faces = [_face(int(label), index, shape) for index, label in enumerate(own)]
        arrays[f"{split}_images"] = np.stack(faces) if faces else np.zeros((0, *shape), np.uint8)
        if votes:
            arrays[f"{split}_votes"] = _votes(own, size)
    np.savez_compressed(folder / "evaluation.npz", allow_pickle=False, **arrays)
    return data


def _votes(labels: NDArray[np.int64], size: int) -> NDArray[np.float32]:
    """Ten votes on each image, most of them for the label; every fifteenth image is for another class, every twentieth has no vote."""
    votes = np.zeros((labels.size, size), np.float32)
    for index, label in enumerate(labels):
        votes[index, label] = 3 if index % 15 == 0 else 5 if index % 25 == 1 else 8
        votes[index, (label + 1) % size] = 10 - votes[index, label]
        if index % 20 == 7:
            votes[index] = 0
    return votes


def _face(label: int, index: int, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """A disc with two eyes and a mouth whose bend depends on the class [channels, height, width]; in colour, tinted by the class."""
    channels, height, width = shape
    rows, columns = np.meshgrid(np.linspace(0, 47, height), np.linspace(0, 47, width), indexing="ij")
    shift = index % 5 - 2
    image = np.full((height, width), 60.0)
    image[(rows - 24) ** 2 + (columns - 24 - shift) ** 2 < 400] = 190
    for eye in (16, 32):
        image[(rows - 19) ** 2 + (columns - eye - shift) ** 2 < 6] = 40
    bend = (label % 7 - 3) * ((columns - 24 - shift) / 10) ** 2
    image[np.abs(rows - 34 - bend) + (np.abs(columns - 24 - shift) > 9) * 99 < 1.5] = 50
    generator = np.random.default_rng(index)
    patches = generator.normal(0, 45, (6, 6))  # no two faces are near-identical
    image += patches[np.ix_(np.arange(height) * 6 // height, np.arange(width) * 6 // width)]
    noise = generator.normal(0, 12, (height, width))
    tints = np.array([1.0]) if channels == 1 else np.array([1.0, 0.6 + 0.05 * (label % 7), 0.5])
    noisy: NDArray[np.uint8] = np.clip((image + noise) * tints[:, None, None], 0, 255).astype(np.uint8)
    return noisy


def _probabilities(labels: NDArray[np.int64], size: int, quality: float, generator: np.random.Generator) -> NDArray[np.float32]:
    partner = (np.arange(size) + 1) % size if size != 7 else np.array([CLASSES.index(CONFUSED[name]) for name in CLASSES])
    logits = generator.gumbel(0, 1.0, (labels.size, size)) + np.log(_shares(size) * 2)
    gain = 0.5 + 5.2 * (quality - 0.25) + max(0.0, math.log(size / 7))
    logits[np.arange(labels.size), labels] += gain + 0.4
    logits[np.arange(labels.size), partner[labels]] += 0.6 * gain
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float32] = (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def _scores(probabilities: NDArray[np.float32], labels: NDArray[np.int64], size: int) -> dict[str, float]:
    predicted = probabilities.argmax(axis=1)
    found = [int(((predicted == c) & (labels == c)).sum()) for c in range(size)]
    f1 = [2 * found[c] / max(1, int((predicted == c).sum() + (labels == c).sum())) for c in range(size)]
    return {"accuracy": float((predicted == labels).mean()), "macro_f1": float(np.mean(f1))}


def _write_trial(
    path: Path,
    key: str,
    config: dict[str, Any],
    fingerprint: str,
    labels: dict[str, NDArray[np.int64]],
    size: int,
    quality: float,
    overfits: bool,
    fate: str,
    stream: list[int],
) -> None:
    folder = path / "trials" / key
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(stream)
    epochs = config["epochs"]
    (folder / "trial.json").write_text(json.dumps({"key": key, "config": config, "data": fingerprint, "engine": "1"}))
    probabilities = {split: _probabilities(own, size, quality, generator) for split, own in labels.items() if own.size}
    scores = {split: _scores(probabilities[split], own, size) for split, own in labels.items() if own.size and own.min() >= 0}
    times = np.arange(1, epochs + 1)
    rise = 1 - 0.75 * np.exp(-3.5 * times / epochs)
    shape = rise + generator.normal(0, 0.012, epochs)
    shape /= shape.max()
    selected = int(np.argmax(shape)) + 1
    rows = []
    for index, epoch in enumerate(times.tolist()):
        turn = 0.9 * max(0.0, epoch / epochs - 0.4) if overfits else 0.0
        row: dict[str, Any] = {"epoch": epoch}
        train = min(0.99, float(rise[index]) * (quality + (0.35 if overfits else 0.04) * epoch / epochs))
        row |= {"train_loss": -1.7 * math.log(train), "train_accuracy": train, "train_macro_f1": train - 0.04}
        for split in scores:
            factor = float(shape[index])
            row[f"{split}_loss"] = -1.9 * math.log(factor * scores[split]["accuracy"] + 0.03) + turn
            row[f"{split}_accuracy"] = factor * scores[split]["accuracy"]
            row[f"{split}_macro_f1"] = factor * scores[split]["macro_f1"]
        row |= {"penalty": 0.3, "learning_rate": 1e-3, "seconds": 6.1, "images_per_second": 650.0}
        rows.append(row)
    if fate in ("failed", "running"):
        rows = rows[: max(1, epochs // 3)]
    if fate == "diverged":
        rows = rows[: max(2, epochs // 2)]
        rows[-1] |= dict.fromkeys(("train_loss", *(f"{split}_loss" for split in scores)))
        selected = max(range(len(rows)), key=lambda index: rows[index]["validation_accuracy"]) + 1
    (folder / "epochs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if fate == "running":
        return
    if fate == "finished":
        arrays = {f"{split}_{which}": own for split, own in probabilities.items() for which in ("selected", "last")}
        np.savez(folder / "predictions.npz", allow_pickle=False, **arrays)
    trace = 'Traceback (most recent call last):\n  File "training.py", line 12, in fit\nRuntimeError: out of memory <while allocating>'
    record = {
        "key": key,
        "status": fate,
        "selected_epoch": None if fate == "failed" else selected,
        "epochs": len(rows),
        "parameters": 2_076_697 if config["model"] == "dnn" else 1_919_079,
        "started": "2026-11-20T10:00:01+00:00",
        "ended": "2026-11-20T10:09:00+00:00",
        "seconds": 6.1 * len(rows),
        "attempts": 1,
        "environment": {
            "ferray": "0.1.0",
            "python": "3.11.2",
            "torch": "2.15.0",
            "ray": "2.60.0",
            "commit": "0123abc",
            "dirty": stream[-1] == 1,
            "host": "node-a",
            "device": "cpu",
            "processor": "AMD EPYC",
            "precision": "fp32",
            "threads": 1,
        },
        "error": {"type": "RuntimeError", "message": "out of memory <while allocating>", "traceback": trace} if fate == "failed" else None,
        "digests": {},
    }
    (folder / "record.json").write_text(json.dumps(record))


__all__ = ["CLASSES", "PATH", "Made", "make_ledger"]
