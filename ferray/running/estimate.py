"""How long trials will take: from what earlier ones took, or from a probe of a few training steps."""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ferray.config import Config
from ferray.errors import ConfigError, FerrayError, LedgerError
from ferray.ledger import Ledger

if TYPE_CHECKING:
    from ferray.data import Dataset, Split
    from ferray.trial import Trial

COST = ("model", "model_arguments", "width", "batch_norm", "batch_size", "precision", "threads", "device")
"""The fields of a config that decide what an image costs; what is left out changes it by some percent."""
PROBE_STEPS = 3
"""Training steps that are timed, after as many that are not."""
PROBE_SECONDS = 20.0
"""After so long no further network is probed."""


@dataclass(frozen=True)
class Pace:
    """Seconds per epoch by the trial's key, for all or some of the trials asked about, and where they are known from."""

    seconds: Mapping[str, float] = field(default_factory=dict)
    basis: str = ""

    def __bool__(self) -> bool:
        return bool(self.seconds)

    def filled(self, trials: Iterable[Trial], other: Pace) -> Pace:
        """The same, with what another one knows of the trials that this one does not."""
        missing = {trial.key: other.seconds[trial.key] for trial in trials if trial.key not in self.seconds and trial.key in other.seconds}
        basis = " and ".join(dict.fromkeys(one for one in (self.basis, other.basis if missing else "") if one))
        return Pace({**self.seconds, **missing}, basis)


def cost(config: Config | Mapping[str, Any], shape: Sequence[int], code: str | None = None) -> str:
    """What configs have in common whose images cost the same; ``code`` is the digest of a network that is not ferray's own."""
    settings = config.model_dump() if isinstance(config, Config) else config
    return json.dumps([[settings.get(name) for name in COST], list(shape), code], sort_keys=True)


def settled(trials: Iterable[Trial], device: Literal["cpu", "cuda"] | None) -> list[Trial]:
    """The trials as they train on a device, where any will do; without those where nobody knows which one it will be."""
    configs = ((trial, trial.config.on(device) if device else trial.config) for trial in trials)
    return [replace(trial, config=config) for trial, config in configs if config.device != "any"]


def makespan(jobs: Sequence[float], slots: int) -> float:
    """Seconds until jobs of the given lengths, begun in this order, so many at a time, have all ended."""
    ends = [0.0] * max(1, min(slots, len(jobs)))
    for job in jobs:
        heapq.heapreplace(ends, ends[0] + job)
    return max(ends)


def from_ledger(ledger: Ledger, trials: Sequence[Trial], data: Dataset, *, processor: str | None = None) -> Pace:
    """What earlier trials tell: of the same settings and data, else of configs that cost the same, by their number of images.

    Where trials on processors were recorded on several kinds of them, those on ``processor`` are preferred.
    """
    shape, images = data.image_shape, len(data.train)
    alike: dict[str, list[_Earlier]] = {}
    for earlier in _earlier(ledger):
        for name in (earlier.settings, earlier.cost):
            alike.setdefault(name, []).append(earlier)
    seconds: dict[str, float] = {}
    used: set[str] = set()
    elsewhere = False
    for trial in trials:
        digests = trial.attachments.digests
        for name in (_settings(trial.config.model_dump(), trial.data, digests), cost(trial.config, shape, digests.get("model"))):
            known = alike.get(name, [])
            here = [one for one in known if one.processor in (None, processor) or trial.config.device == "cuda"]
            if chosen := here or known:
                seconds[trial.key] = images * median(one.seconds_per_image for one in chosen)
                used |= {one.key for one in chosen}
                elsewhere |= not here
                break
    machine = " on another machine" if elsewhere else ""
    return Pace(seconds, f"{counted(len(used), 'earlier trial')}{machine}" if used else "")


@dataclass(frozen=True)
class _Earlier:
    key: str
    settings: str
    cost: str
    seconds_per_image: float  # of training, evaluation included
    processor: str | None


def _earlier(ledger: Ledger) -> Iterable[_Earlier]:
    """All trials with epochs; what cannot be read is passed over, since others will tell."""
    described: dict[str, dict[str, Any]] = {}
    for key in ledger.keys():  # noqa: SIM118 - a ledger is no dict
        try:
            rows = ledger.epochs(key)
            if not rows:
                continue
            identity = ledger.trial(key)
            fingerprint = identity["data"]
            if fingerprint not in described:
                described[fingerprint] = ledger.data(fingerprint)
            about = described[fingerprint]
            record = ledger.record(key) or {}
            environment = record.get("environment") or {}
            files, config = identity.get("files") or {}, identity["config"]
            if config.get("device") == "any":
                if record.get("elsewhere"):
                    continue  # its epochs may be those of several devices
                config = {**config, "device": environment["device"]}
            yield _Earlier(
                key,
                _settings(config, fingerprint, files),
                cost(config, about["image_shape"], files.get("model")),
                median(row["seconds"] for row in rows) / sum(about["counts"]["train"].values()),
                environment.get("processor"),
            )
        except (LedgerError, OSError, KeyError, TypeError, ZeroDivisionError):
            continue


def _settings(config: Mapping[str, Any], fingerprint: str, files: Mapping[str, str]) -> str:
    """All that a training's speed could depend on."""
    rest = {name: value for name, value in config.items() if name not in ("seed", "epochs")}
    return json.dumps([rest, fingerprint, dict(files)], sort_keys=True)


def from_probe(trials: Sequence[Trial], data: Dataset) -> Pace:
    """Trains each distinct network for a few steps and evaluates it, on a few images, and keeps nothing of it.

    Networks whose probe fails, or that are not reached in time, are left out. Raises ConfigError, which names the variant, for a mistake
    in the study.
    """
    import torch

    threads = torch.get_num_threads()
    try:
        return _probed(trials, data)
    finally:
        torch.set_num_threads(threads)


def _probed(trials: Sequence[Trial], data: Dataset) -> Pace:
    shape = data.image_shape
    first: dict[str, Trial] = {}
    for trial in trials:
        first.setdefault(cost(trial.config, shape, trial.attachments.digests.get("model")), trial)
    began = time.monotonic()
    known: dict[str, float] = {}
    for name, trial in first.items():
        if time.monotonic() - began > PROBE_SECONDS:
            break
        try:
            known[name] = _probe(trial, data)
        except ConfigError as error:
            raise ConfigError(f"variant {trial.variant!r}: {error}") from error
        except (FerrayError, RuntimeError, ValueError, TypeError, ArithmeticError, LookupError, OSError, AttributeError, ImportError):
            continue  # the run itself will tell what is wrong with it
    seconds = {}
    for trial in trials:
        name = cost(trial.config, shape, trial.attachments.digests.get("model"))
        if name in known:
            seconds[trial.key] = known[name]
    return Pace(seconds, f"a probe of {PROBE_STEPS} training steps" if seconds else "")


def _probe(trial: Trial, data: Dataset) -> float:
    """Seconds that an epoch takes, by two epochs on a few images, the first of which is not counted."""
    from ferray.training import fit

    size = trial.config.batch_size
    few = replace(
        data,
        train=_first(data.train, PROBE_STEPS * size),
        validation=_first(data.validation, size),
        test=_first(data.test, size),
    )
    for epoch in fit(trial.config.model_copy(update={"epochs": 2}), few, attachments=trial.attachments):
        row = epoch.row
    training = len(few.train) / row["images_per_second"]
    evaluation = max(0.0, row["seconds"] - training) / (len(few.validation) + len(few.test))
    return len(data.train) / row["images_per_second"] + evaluation * (len(data.validation) + len(data.test))


def _first(split: Split, images: int) -> Split:
    return split.take(np.arange(min(images, len(split)), dtype=np.int64))


def duration(seconds: float) -> str:
    """A time as people say it: 40 s, 3 min, 2 h 10 min, 3 days 4 h."""
    if seconds < 59.5:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} days {hours} h" if hours else f"{days} days"


def counted(number: float, noun: str) -> str:
    """A number with what it counts: 1 trial, 2 trials, 0.5 processors."""
    return f"{f'{number:,}' if isinstance(number, int) else f'{number:g}'} {noun}{'s' * (number != 1)}"
