"""Studies as ledgers on disk, read and judged by the whole analysis: ``Results``, ``effect_claims``, verdicts.

A leave-one-out over three factors. The network without a factor is the variant of ``simulations.answers``, so a planted effect of -2
is a factor that helps by 2.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ferray.analysis.effects import effect_claims
from ferray.analysis.results import Results
from ferray.analysis.statistics import Estimate
from ferray.analysis.verdicts import Decision
from ferray.config import Config, overlay, trial_key
from simulations import answers
from simulations.measures import TARGETS, Share, Tally, add_verdicts

NAME = "simulated"
FINGERPRINT = "5" * 32
FACTORS: dict[str, dict[str, Any]] = {"dropout": {"dropout": 0.0}, "batch_norm": {"batch_norm": False}, "l2": {"l2": 0.0}}
MARGIN = 0.5


def study_ledgers(world: answers.ClassWorld, studies: int, seed: int, lost: float = 0.0) -> dict[str, Share]:
    """What ``effect_claims`` says about many made-up ledgers; a share ``lost`` of the trials has failed.

    ``both`` is how often the claims' interval of accuracy covers the truth, ``both macro_f1`` and ``both loss`` likewise; the verdicts
    are counted as in ``simulations.measures``.
    """
    generator = np.random.default_rng(seed)
    tally = Tally()
    for _ in range(studies):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), world, generator, lost)
            claims = effect_claims(Results.load(folder, NAME))
        told = {(claim.subject, claim.metric): claim for claim in claims if claim.split == "test"}
        for metric, factor in (("accuracy", -100.0), ("macro_f1", -100.0), ("loss", 1.0)):
            for variant, subject in enumerate(FACTORS, 1):
                claim = told.get((subject, metric))
                for target in TARGETS[-1:] if claim is not None and claim.estimates else ():
                    assert claim is not None
                    tally.add(f"{target} {metric}", _covers(claim.estimates[target], factor * answers.expected(world, metric, variant)))
        judged = [told[subject, "accuracy"] for subject in FACTORS]
        decisions = [Decision(claim.verdict or "inconclusive", claim.p_adjusted, claim.p_equivalence) for claim in judged]
        add_verdicts(tally, decisions, [-100 * answers.expected(world, "accuracy", one) for one in range(1, len(FACTORS) + 1)], MARGIN)
    return tally.shares()


def _covers(estimate: Estimate, truth: float) -> list[bool]:
    return [estimate.low <= truth <= estimate.high] if estimate.has_interval and not estimate.is_point else []


def write(folder: Path, world: answers.ClassWorld, generator: np.random.Generator, lost: float) -> None:
    """A storage folder with one study of the world, as a run would leave it."""
    faces = {split: answers.draw_faces(world, generator) for split in ("validation", "test")}
    levels = answers.draw_levels(world, world.seeds, generator)
    _json(folder / "ledger.json", {"format": 1})
    data = _write_data(folder, faces)
    base = Config(precision="fp32", epochs=1, dropout=0.3, l2=1e-4).model_dump()
    variants: dict[str, Any] = {"cnn": {"overrides": {}, "removed": [], "config": base}}
    for factor, overrides in FACTORS.items():
        variants[f"no {factor}"] = {"overrides": overrides, "removed": [factor], "config": _resolve(base, overrides)}
    plan = []
    for variant, (name, described) in enumerate(variants.items()):
        for seed in range(world.seeds):
            config = _resolve(base, {**described["overrides"], "seed": seed})
            key = trial_key(Config.parse(config), FINGERPRINT)
            plan.append({"key": key, "variant": name, "sample": 0, "seed": seed, "phase": "final", "overrides": {}})
            told = {split: _predictions(levels[variant, seed], own, variant, generator) for split, own in faces.items()}
            _write_trial(folder / "trials" / key, key, config, faces, told, failed=bool(generator.random() < lost))
    study = {
        "name": NAME,
        "title": None,
        "text": "",
        "settings": {"name": NAME, "seeds": list(range(world.seeds)), "search": {}, "data": {}},
        "data": data,
        "command": "python -m simulations",
        "created": "2026-01-01T00:00:00+00:00",
        "baseline": "cnn",
        "variants": variants,
        "ablation": {"design": "leave_one_out", "factors": list(FACTORS)},
        "smallest_effect": MARGIN,
        "published": {},
        "plan": plan,
    }
    _json(folder / "studies" / NAME / "study.json", study)


def _resolve(base: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    return Config.parse(overlay(base, overrides)).model_dump()


def _predictions(level: float, faces: answers.Faces, variant: int, generator: np.random.Generator) -> answers.Floats:
    told, wrong = answers.answer(np.array([level]), faces, variant, generator)
    return answers.probabilities(told[0], wrong[0], faces.labels)


def _write_data(folder: Path, faces: dict[str, answers.Faces]) -> dict[str, Any]:
    counts = {split: np.bincount(own.labels, minlength=len(answers.CLASSES)).tolist() for split, own in faces.items()}
    data = {
        "name": NAME,
        "classes": list(answers.CLASSES),
        "counts": {split: dict(zip(answers.CLASSES, own, strict=True)) for split, own in {"train": [100] * 7, **counts}.items()},
        "synthetic": True,
        "image_shape": [1, 48, 48],
        "fingerprint": FINGERPRINT,
        "notes": [],
        "missing": {},
        "votes": False,
    }
    _json(folder / "data" / FINGERPRINT / "data.json", data)
    labels = {f"{split}_labels": own.labels for split, own in faces.items()}
    np.savez(folder / "data" / FINGERPRINT / "evaluation.npz", allow_pickle=False, **labels)
    return data


def _write_trial(
    folder: Path,
    key: str,
    config: dict[str, Any],
    faces: dict[str, answers.Faces],
    told: dict[str, answers.Floats],
    *,
    failed: bool,
) -> None:
    _json(folder / "trial.json", {"key": key, "config": config, "data": FINGERPRINT, "engine": "1"})
    row: dict[str, Any] = {"epoch": 1, "train_loss": 1.0, "train_accuracy": 0.7, "train_macro_f1": 0.6, "seconds": 1.0}
    for split, shares in told.items():
        row[f"{split}_loss"] = 1.0
        row[f"{split}_accuracy"] = float((shares.argmax(axis=1) == faces[split].labels).mean())
        row[f"{split}_macro_f1"] = 0.6
    (folder / "epochs.jsonl").write_text(json.dumps(row) + "\n")
    if not failed:
        np.savez(
            folder / "predictions.npz",
            allow_pickle=False,
            **{f"{split}_{which}": shares.astype(np.float32) for split, shares in told.items() for which in ("selected", "last")},
        )
    error = {"type": "RuntimeError", "message": "out of memory", "traceback": ""}
    record = {
        "key": key,
        "status": "failed" if failed else "finished",
        "selected_epoch": None if failed else 1,
        "epochs": 1,
        "parameters": 1,
        "started": "2026-01-01T00:00:00+00:00",
        "ended": "2026-01-01T00:00:01+00:00",
        "seconds": 1.0,
        "attempts": 1,
        "environment": {},
        "error": error if failed else None,
        "digests": {},
    }
    _json(folder / "record.json", record)


def _json(file: Path, content: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
