"""Data sources, each of which becomes one Dataset of uint8 images in three splits."""

from __future__ import annotations

import os
from pathlib import Path

from ferray.data.dataset import Dataset, Split
from ferray.data.fer2013 import load as load_fer2013
from ferray.data.synthetic import generate
from ferray.data_source import DataSource
from ferray.errors import DataError


def load(source: DataSource, *, cache: Path | None = None) -> Dataset:
    """The images of a source, or of the part of it that ``source.subset`` asks for.

    FER2013 is found at ``source.path``, else where the environment variable FERRAY_FER2013 says; it is parsed once and then mapped
    from the cache (``cache``, else FERRAY_CACHE, else the user's cache folder). Synthetic faces are drawn anew and need no file.
    Raises DataError where the source is missing, damaged or not of a known form.
    """
    if source.source == "synthetic":
        if source.path is not None:
            raise DataError(f"{source.path}: synthetic faces are drawn, not read; leave out the path, or set source: fer2013")
        whole = generate(source.images, seed=source.seed)
    else:
        whole = load_fer2013(_fer2013_path(source), cache=cache, verify=source.subset is None)
    return whole if source.subset is None else whole.subset(source.subset, seed=source.seed)


def _fer2013_path(source: DataSource) -> Path:
    given = source.path or os.environ.get("FERRAY_FER2013")
    if not given:
        raise DataError(
            "fer2013: no path given; say where the set lies with --data PATH, with data.path in the study file, or in the "
            "environment variable FERRAY_FER2013. PATH is fer2013.zip, the folder unzipped from it, or fer2013.csv"
        )
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        raise DataError(f"{given}: there is no such user's home folder") from error


__all__ = ["Dataset", "Split", "load"]
