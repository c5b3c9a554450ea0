"""The examples run as their pages say, only shorter."""

from __future__ import annotations

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ferray import Results
from ferray.analysis.factorial_claims import factorial_claims
from ferray.data import load
from ferray.data_source import DataSource
from ferray.study import Study

ROOT = Path(__file__).parents[1]
OWN_NETWORK = ROOT / "examples" / "own_network"
PAGE = ROOT / "docs" / "own-model.md"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example's folder, with its images made as its page says."""
    copied = shutil.ignore_patterns("images", "ferray_results", "__pycache__")
    folder = shutil.copytree(OWN_NETWORK, tmp_path_factory.mktemp("example") / "own_network", ignore=copied)
    _python("make_images.py", folder=folder)
    return folder


@pytest.fixture
def example(made: Path, tmp_path: Path) -> Path:
    """One of the test's own."""
    return shutil.copytree(made, tmp_path / "own_network")


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


def test_the_page_shows_the_fractions_factors_and_what_the_plan_prints_of_them(example: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    study = yaml.safe_load((OWN_NETWORK / "fraction.yaml").read_text(encoding="utf-8"))
    shown = next(block for block in page.split("```") if block.startswith("yaml\nablate:"))
    assert yaml.safe_load(shown.removeprefix("yaml\n")) == {"ablate": study["ablate"]}
    ablation = Study.load(example / "fraction.yaml").ablate
    assert ablation is not None
    assert "".join(f"    {sentence}\n" for sentence in ablation.sentences()) in page


def test_the_fraction_takes_away_arguments_of_the_networks_own_and_a_group(example: Path) -> None:
    trials = Study.load(example / "fraction.yaml").plan()
    without = {trial.variant: trial.config for trial in trials}
    assert (len(without), len(trials)) == (8, 24)
    parts = without["no-residual-block_norm"].model_arguments
    assert (parts["residual"], parts["batch_norm"]) == (False, False)
    config = without["no-augmentation-penalties"]
    assert (config.l1, config.l2, config.augmentation.rotation) == (0.0, 0.0, 0.0)


def test_the_fraction_in_python_is_the_study_of_the_file(example: Path) -> None:
    study = runpy.run_path(str(example / "fraction.py"))["study"]
    written = Study.load(example / "fraction.yaml")
    assert study == written
    assert study.plan() == written.plan()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_fraction_runs_and_its_report_tells_each_effect_with_its_aliases(example: Path) -> None:
    short = ["--set", "base.epochs=1", "--set", "seeds=2", "--set", "data.subset=200"]
    told = _python("-m", "ferray.tune", "fraction.yaml", "--local", *short, folder=example)
    claims = factorial_claims(Results.load(example / "ferray_results", "own-network-fraction"))
    aliases = {claim.subject: claim.details["aliases"] for claim in claims if claim.split == "test"}
    assert aliases["residual"] == ("augmentation:block_norm:penalties",)
    assert aliases["augmentation:residual"] == ("block_norm:penalties",)
    assert "It cannot be told from residual" in told


def test_each_variant_changes_the_arguments_that_its_name_says(example: Path) -> None:
    planned = {trial.variant: trial.config.model_arguments for trial in Study.load(example / "study.yaml").plan()}
    assert planned["one-block"] == {"width": 16, "depth": 1, "residual": True, "batch_norm": True}
    assert planned["no-augmentation-residual-block_norm"] == {"width": 16, "depth": 3, "residual": False, "batch_norm": False}
