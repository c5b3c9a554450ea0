"""Fetching FER2013: through kagglehub where it is there, and with a way out where it is not or Kaggle refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from test_fer2013 import make_tree

WORKS = """
import shutil, sys
def dataset_download(handle, *, output_dir=None):
    assert handle == "msambare/fer2013"
    if output_dir is None:
        return {tree!r}
    shutil.copytree({tree!r}, output_dir)
    return output_dir
"""
MISSING = "raise ImportError('no kagglehub')\n"
REFUSES = """
class KaggleApiHTTPError(Exception):
    class response:
        status_code = 403
def dataset_download(handle, **options):
    raise KaggleApiHTTPError("403 Client Error.\\nYou don't have permission to access resource")
"""
UNREACHABLE = "def dataset_download(handle, **options):\n    raise ConnectionError('no route to host')\n"

Fetch = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def fetch(tmp_path: Path) -> Fetch:
    """Runs the command with a kagglehub that is made up."""

    def run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "fake").mkdir()
        (tmp_path / "fake" / "kagglehub.py").write_text(module, encoding="utf-8")
        path = os.pathsep.join([str(tmp_path / "fake"), str(Path(__file__).parents[1])])
        environment = {**os.environ, "PYTHONPATH": path, "FERRAY_CACHE": str(tmp_path / "cache"), "COLUMNS": "120"}
        command = [sys.executable, "-m", "ferray.data", "fetch", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)

    return run


@pytest.mark.parametrize("arguments", [[], ["--to", "here"]])
def test_what_was_fetched_is_described_with_its_place(tmp_path: Path, fetch: Fetch, arguments: list[str]) -> None:
    tree = make_tree(tmp_path / "kaggle")
    done = fetch(WORKS.format(tree=str(tree)), "fer2013", *arguments)
    assert done.returncode == 0, done.stderr
    place = tmp_path / "here" if arguments else tree
    assert f"use it with --data {place}" in done.stdout
    assert "surprise" in done.stdout


@pytest.mark.parametrize(
    ("module", "messages"),
    [
        (MISSING, ["fetch needs kagglehub: pip install -c constraints.txt -e '.[kaggle]'"]),
        (REFUSES, ["Kaggle did not let us in (KaggleApiHTTPError: 403 Client Error.)", "kaggle.com/settings", "KAGGLE_API_TOKEN"]),
        (UNREACHABLE, ["could not be fetched from Kaggle (ConnectionError: no route to host)", "If it asks for credentials"]),
    ],
)
def test_where_it_cannot_be_fetched_there_is_a_way_out(fetch: Fetch, module: str, messages: list[str]) -> None:
    done = fetch(module, "fer2013")
    assert done.returncode == 2
    for message in (*messages, "Or download https://www.kaggle.com/datasets/msambare/fer2013 with a browser", "train.csv", "--data PATH"):
        assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_another_name_is_refused(fetch: Fetch) -> None:
    done = fetch(MISSING, "fer2012")
    assert (done.returncode, done.stdout) == (2, "")
    assert "fetch fer2012: no such data set; did you mean 'fer2013'?" in done.stderr
