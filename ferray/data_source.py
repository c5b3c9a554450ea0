"""Where a study's images come from."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from pydantic import Field

from ferray.config import Fraction, Frozen


class DataSource(Frozen):
    """Where the images come from, and what is done to them before they are a data set."""

    source: str = "synthetic"
    """`synthetic`, `fer2013`, `images` (a folder, a table of paths or a zip), or a loader of your own as `./file.py:function`."""
    path: str | None = None
    """Of a file or folder; synthetic faces need none."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments for a loader of your own."""
    votes: str | None = None
    """FER+ votes (fer2013new.csv) for FER2013 in a CSV form: soft labels for training, and a diagnosis in the report."""
    subset: Annotated[int, Field(ge=1)] | None = None
    """Keeps so many training images, stratified, and the same share of the other splits."""
    images: Annotated[int, Field(ge=70, le=10_000_000)] = 4000
    """Synthetic training images; validation and test hold a quarter of it each."""
    image_size: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Height and width of an image folder's images; left out, a size that all share is kept up to 128, and others become 64."""
    resize: Literal["crop", "pad", "stretch"] = "crop"
    """How images of other proportions become squares."""
    color: Literal["auto", "grey", "rgb"] = "auto"
    """auto is grey where every image is."""
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Of the training images, stratified, where there is no validation split."""
    test_share: Fraction = 0.15
    """Of the training images, stratified, where there is no test split; 0 leaves the study without one."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the synthetic faces, of the subset and of splits that are made."""

    def located(self, path: str | os.PathLike[str] | None) -> DataSource:
        """The same source at another place; None leaves it as it is."""
        return self if path is None else self.model_copy(update={"path": os.fspath(path)})
