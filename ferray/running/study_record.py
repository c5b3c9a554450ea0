"""What the ledger keeps of a study for its report: the study with its plan, the data that the report shows, and the user's own code."""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ferray.data.dataset import thumbnails
from ferray.running.confirmation import NOTHING_AFTER, Confirmation, document

if TYPE_CHECKING:
    from ferray.data import Dataset
    from ferray.ledger.writer import LedgerWriter
    from ferray.study import Study
    from ferray.trial import Trial


def save(
    writer: LedgerWriter, study: Study, plan: list[Trial], data: Dataset, text: str | None, after: Confirmation = NOTHING_AFTER
) -> None:
    """Writes a study and its plan into the ledger, with its data and the user's own code that its trials stand on.

    ``plan`` are the trials of ``Study.plan``, ``after`` what follows from them, and ``text`` is the study file. Raises LedgerError.
    """
    description = data.summary()
    arrays: dict[str, NDArray[Any]] = {}
    for name in ("validation", "test"):
        split = data.splits[name]
        arrays[f"{name}_labels"] = split.labels
        if name == "validation" and data.splits_by_seed:
            continue  # these labels are those of every seed's split; its images and votes are of one seed only
        arrays[f"{name}_images"] = thumbnails(split.images)
        if split.votes is not None:
            arrays[f"{name}_votes"] = split.votes
    writer.save_data(description, arrays)
    for code in {code.digest: code for trial in plan for code in trial.attachments.code.values()}.values():
        writer.save_code(code.digest, {"reference": code.reference, "module": code.module, "name": code.name}, code.files)
    first: dict[str, dict[str, Any]] = {}
    for trial in plan:
        first.setdefault(trial.variant, trial.config.model_dump())
    writer.save_study(
        study.name,
        {
            "name": study.name,
            "title": study.title,
            "text": text,
            "settings": study.model_dump(mode="json"),
            "data": description,
            "command": command(),
            "folders": [str(folder) for folder in study.folders],
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "baseline": study.baseline,
            "variants": {
                variant.name: {"overrides": variant.overrides, "removed": list(variant.removed), "config": first[variant.name]}
                for variant in study.all_variants()
            },
            "smallest_effect": study.smallest_effect,
            "ablation": study.ablate.describe() if study.ablate else None,
            "tuning": document(study, after),
            "published": {name: numbers.model_dump(exclude_none=True) for name, numbers in study.published.items()},
            "plan": [
                {
                    "key": trial.key,
                    "variant": trial.variant,
                    "sample": trial.sample,
                    "seed": trial.config.seed,
                    "overrides": trial.overrides,
                    "phase": trial.phase,
                }
                for trial in [*plan, *after.trials]
            ],
        },
    )


def command() -> str:
    """The command line that runs this study again."""
    program = Path(sys.argv[0])
    if program.name == "tune.py" and program.parent.name == "ferray":
        return shlex.join(["python", "-m", "ferray.tune", *sys.argv[1:]])
    if program.name == "ipykernel_launcher.py":
        return "a notebook"
    return shlex.join(sys.argv)
