"""Images that every training of a variant gets wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ferray.analysis.answers import answers
from ferray.analysis.constant import constant_answers, constant_words
from ferray.analysis.examples import as_picture
from ferray.analysis.pictures import COLUMNS, Picture, Row, most_frequent
from ferray.analysis.results import Results
from ferray.analysis.selection import best_variant
from ferray.analysis.wording import count, image_count, plain


@dataclass(frozen=True)
class HardInfo:
    """Images that every training of a variant gets wrong, by how many of them agree on the answer, and how sure they are of it."""

    variant: str
    label: str
    seeds: int
    images: int
    n: int
    agreed: int  # of these, how many all trainings give the same answer to
    rows: tuple[Row, ...]
    keys: tuple[str, ...]
    synthetic: bool
    fixed: str  # which of the trainings answer one class for nearly every image, in words; empty where none does


def hard_info(results: Results, variant: str | None = None, split: str | None = None) -> HardInfo | None:
    """The images that all trainings of a variant get wrong, or of the one that validation ranks first; None without two trainings."""
    split, chosen = split or results.headline, variant or best_variant(results)
    own = None if chosen is None else answers(results, chosen, split)
    images = results.images(split)
    if own is None or images is None or len(own.seeds) < 2:
        return None
    members = np.flatnonzero((own.predicted != own.labels).all(axis=0))
    modal, votes = most_frequent(own, len(results.classes))
    label, fixed = results.split_labels[split], constant_answers(own, results.classes)
    mean = own.probabilities.mean(axis=0)
    sure = mean[np.arange(len(modal)), modal]
    order = members[np.lexsort((-sure[members], -votes[members]))][: COLUMNS * 2]
    pictures = [
        Picture(
            int(one),
            results.classes[own.labels[one]],
            (
                f"{results.classes[own.labels[one]]} \N{RIGHTWARDS ARROW} {results.classes[modal[one]]}",
                f"{votes[one]} of {len(own.seeds)}, {sure[one]:.2f}",
            ),
            as_picture(images[one]),
        )
        for one in order
    ]
    rows = tuple(Row("", len(members), tuple(pictures[start : start + COLUMNS])) for start in range(0, len(pictures), COLUMNS))
    return HardInfo(
        variant=own.variant,
        label=label,
        seeds=len(own.seeds),
        images=len(own.labels),
        n=len(members),
        agreed=int((votes[members] == len(own.seeds)).sum()),
        rows=rows,
        keys=own.keys,
        synthetic=results.synthetic,
        fixed="" if fixed is None else constant_words(fixed, label),
    )


def hard_sentence(info: HardInfo) -> str:
    """How many images every training gets wrong, and how often they agree on the wrong answer."""
    share = f"{count(info.n)} of {image_count(info.images)} of the {info.label} set ({plain(100 * info.n / info.images)} %)"
    agreed = f"to {count(info.agreed)} of these all give the same answer"
    warning = f"; {info.fixed}, so that few classes are left to be right about" if info.fixed else ""
    return f"Each of the {info.seeds} trainings of {info.variant} gets {share} wrong; {agreed}{warning}."
