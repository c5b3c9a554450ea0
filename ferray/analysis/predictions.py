"""Predictions as a data frame, image by image."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from ferray.analysis.results import Results

EVALUATED = ("validation", "test")

Which = Literal["selected", "last"]


def prediction_frame(results: Results, which: Which, keys: Iterable[str] | None) -> pd.DataFrame:
    """What ``Results.prediction_frame`` says."""
    names = ["key", "variant", "sample", "seed", "phase", "split", "image", "label", "predicted"]
    wanted = None if keys is None else set(keys)
    parts = []
    known: dict[str, None] = dict.fromkeys(results.classes) if results.study is not None else {}

    def column(name: str) -> str:
        return f"class {name}" if name in names else name

    for entry in results.plan:
        if wanted is not None and entry["key"] not in wanted:
            continue
        for split in EVALUATED:
            probabilities = results.probabilities(entry["key"], split, which)
            labels = None if probabilities is None else results.labels_of(entry["key"], split)
            if probabilities is None or labels is None:
                continue
            classes = results.classes_of(entry["key"])
            known |= dict.fromkeys(classes)
            part = pd.DataFrame(probabilities, columns=[column(name) for name in classes])
            part.insert(0, "predicted", np.array(classes, dtype=object)[probabilities.argmax(axis=1)])
            part.insert(0, "label", np.array([*classes, None], dtype=object)[labels])  # -1 is an unknown class
            part.insert(0, "image", np.arange(labels.size))
            for name, value in reversed([*results.place(entry).items(), ("split", split)]):
                part.insert(0, name, value)
            parts.append(part)
    shares = [column(name) for name in known]
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*names, *shares])
    types: dict[str, Any] = {**dict.fromkeys(("key", "variant", "split"), "category"), **dict.fromkeys(shares, np.float32)}
    types |= {"sample": "Int64", "seed": "Int64", "image": "int64"}
    return frame.astype({**types, **dict.fromkeys(("label", "predicted"), pd.CategoricalDtype(list(known)))})
