"""Where a study's images come from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from ferray.config import Fraction, Frozen
from ferray.errors import nearest

WORDS = ("auto", "synthetic", "fer2013", "images")
"""The sources that ferray knows; every other one is a loader of the user's own."""


class DataSource(Frozen):
    """Where the images come from, and what is done to them before they are a data set."""

    source: str = "auto"
    """`synthetic`, `fer2013`, `images` (a folder, a table of paths or a zip), or a loader of your own as `./file.py:function` or
    `package.module:function`; `auto` finds out what the path holds, and is `synthetic` without one."""
    path: str | None = None
    """Of a file or folder, from the study file's folder or the current one; synthetic faces have none. A loader of your own gets it as
    its argument `path`."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments for a loader of your own."""
    votes: str | None = None
    """FER+ votes (fer2013new.csv) for FER2013 in a CSV form: soft labels for training, and a diagnosis in the report."""
    subset: Annotated[int, Field(ge=1)] | None = None
    """Keeps so many training images, stratified, and of the other splits what `subset_of` says."""
    subset_of: Literal["all", "training"] = "all"
    """Of all splits the same share; or of the training images alone, so that networks are judged on every image there is."""
    images: Annotated[int, Field(ge=70, le=10_000_000)] = 4000
    """Synthetic training images; validation and test hold a quarter of it each."""
    image_size: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Height and width of an image folder's images; left out, a square size that all share is kept up to 128, and others become 64."""
    resize: Literal["crop", "pad", "stretch"] = "crop"
    """How images of other proportions become squares: the middle is kept, black is added, or they are distorted."""
    color: Literal["auto", "grey", "rgb"] = "auto"
    """auto is grey where every image is."""
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Of the training images, stratified, where there is no validation split."""
    validation_split: Literal["seed", "fixed"] = "seed"
    """Where there is none, it is drawn by each trial's `seed`, so that the seeds' spread holds what another split would change; or `fixed`:
    once for all seeds, by `data.seed`."""
    test_share: Fraction = 0.15
    """Of the training images, stratified, where there is no test split; 0 leaves the study without one."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the synthetic faces, of the subset, and of splits that are made once for all trials."""

    @field_validator("source")
    @classmethod
    def _known(cls, given: str) -> str:
        place, colon, name = given.rpartition(":")
        if given in WORDS or (colon and place and all(part.isidentifier() for part in name.split("."))):
            return given
        raise ValueError(
            f"no such source{nearest(given, WORDS)} (there are {', '.join(WORDS)}, and loaders of your own as ./file.py:function "
            "or package.module:function)"
        )

    @model_validator(mode="after")
    def _check_reach(self) -> Self:
        if self.arguments and self.source in WORDS:
            raise ValueError(f"arguments have no effect with source {self.source!r}; they are for a loader of your own")
        if self.votes is not None and (self.source == "synthetic" or self.source not in WORDS):
            raise ValueError(f"votes have no effect with source {self.source!r}; they are for FER2013")
        if self.validation_share + self.test_share >= 1:
            raise ValueError("validation_share and test_share together must leave images to train on: less than 1")
        return self

    def located(self, path: str | os.PathLike[str] | None) -> DataSource:
        """The same source at another place, which counts from the current folder; None leaves it as it is."""
        if path is None:
            return self
        given = Path(path)
        absolute = given if str(given).startswith("~") else given.absolute()
        return self.model_copy(update={"path": os.fspath(absolute)})
