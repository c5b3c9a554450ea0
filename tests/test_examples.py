"""The examples run as their pages say, only shorter."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ferray import Results
from ferray.data import load
from ferray.data_source import DataSource
from ferray.study import Study

ROOT = Path(__file__).parents[1]
OWN_NETWORK = ROOT / "examples" / "own_network"
PAGE = ROOT / "docs" / "own-model.md"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A copy of the example's folder, with its images made as its page says."""
    folder = shutil.copytree(OWN_NETWORK, tmp_path / "own_network", ignore=shutil.ignore_patterns("images", "__pycache__"))
    _python("make_images.py", folder=folder)
    return folder


def _python(*arguments: str, folder: Path) -> str:
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb", "FERRAY_CACHE": str(folder / "cache")}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_images_are_scikit_learns_digits(example: Path) -> None:
    data = load(DataSource(source="images", path=str(example / "images")), cache=example / "cache")
    assert data.classes == tuple("0123456789")
    assert data.image_shape == (1, 8, 8)
    assert sum(len(split) for split in data.splits.values()) == 1797


@pytest.mark.slow
def test_an_ablation_of_ones_own_network_on_ones_own_images_runs_and_ends_with_its_report(example: Path) -> None:
    short = ["--set", "base.epochs=1", "--set", "seeds=2", "--set", "data.subset=200"]
    told = _python("-m", "ferray.tune", "study.yaml", "--local", *short, folder=example)
    results = Results.load(example / "ferray_results", "own-network")
    assert set(results.trials["status"]) == {"finished"}, told
    assert set(results.trials["variant"]) == {variant.name for variant in Study.load(example / "study.yaml").all_variants()}
    assert (example / "ferray_results" / "reports" / "own-network" / "index.html").exists()


def test_the_page_shows_the_studys_own_text() -> None:
    study = yaml.safe_load((OWN_NETWORK / "study.yaml").read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    shown = next(block for block in page.split("```") if block.startswith("yaml\nname: own-network"))
    assert yaml.safe_load(shown.removeprefix("yaml\n")) == study


def test_each_variant_changes_the_arguments_that_its_name_says(example: Path) -> None:
    planned = {trial.variant: trial.config.model_arguments for trial in Study.load(example / "study.yaml").plan()}
    assert planned["one-block"] == {"width": 16, "depth": 1, "residual": True, "batch_norm": True}
    assert planned["no-augmentation-residual-block_norm"] == {"width": 16, "depth": 3, "residual": False, "batch_norm": False}
