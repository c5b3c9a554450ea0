"""Fetching FER2013 from Kaggle through kagglehub, an extra that is imported only here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ferray.data.form import FER2013_FORMS
from ferray.errors import DataError

DATASET = "msambare/fer2013"
"""The set as a tree of images, in the form in which it is most often downloaded."""

BY_HAND = (
    f"Or download https://www.kaggle.com/datasets/{DATASET} with a browser, put the file anywhere, and name it with --data PATH; "
    f"{FER2013_FORMS}"
)
CREDENTIALS = (
    "Kaggle wants to know who asks: make an account, then a token at https://www.kaggle.com/settings (API, Create New Token), and "
    "put it in the environment variable KAGGLE_API_TOKEN, or the file kaggle.json into ~/.kaggle/"
)


def fetch(folder: Path | None = None) -> Path:
    """Downloads FER2013 and returns where it lies: in ``folder``, else in kagglehub's own cache, where a second call finds it.

    Raises DataError where kagglehub is not installed, where Kaggle refuses, or where there is no way to it.
    """
    try:
        import kagglehub
    except ImportError:
        raise DataError(f"fetch needs kagglehub: pip install -c constraints.txt -e '.[kaggle]'. {BY_HAND}") from None
    to: dict[str, Any] = {} if folder is None else {"output_dir": str(folder.expanduser().absolute())}
    try:
        return Path(kagglehub.dataset_download(DATASET, **to))
    except Exception as error:
        raise DataError(_told(error)) from error


def _told(error: Exception) -> str:
    kind = type(error).__name__
    status = getattr(getattr(error, "response", None), "status_code", None)
    said = (str(error).strip().splitlines() or [kind])[0]
    if kind in ("UnauthenticatedError", "CredentialError") or status in (401, 403):
        return f"Kaggle did not let us in ({kind}: {said}). {CREDENTIALS}. {BY_HAND}"
    return f"FER2013 could not be fetched from Kaggle ({kind}: {said}). If it asks for credentials: {CREDENTIALS}. {BY_HAND}"
