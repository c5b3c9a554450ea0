"""The simulation suite: its truths are true, its verdict can fail, and its quick part holds."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ferray.analysis.per_image import of_predictions
from simulations import answers, page, worlds
from simulations.measures import Share, study_world
from simulations.run import Outcome, outcome
from simulations.scenarios import everything, quick

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    "knobs", [{}, {"tails": "t3", "spread": 3.0}, {"ratio": 3.0, "spread": 2.0}, {"collapse": (0.1, 0.0)}, {"twins": (0.5, 4)}]
)
def test_a_planted_effect_is_the_mean_over_seeds_and_images(knobs: dict[str, object]) -> None:
    world = worlds.World(seeds=60, images=500, effects=(4.0,), **knobs)  # type: ignore[arg-type]
    generator = np.random.default_rng(1)
    drawn = [worlds.draw(world, generator) for _ in range(60)]
    means = np.array([one.tables[0].mean() for one in drawn])
    error = means.std(ddof=1) / np.sqrt(60)
    assert means.mean() == pytest.approx(0.04, abs=4 * error)
    assert error < 0.005
    # The truths about the drawn images and the drawn networks vary about it too, and explain what was found.
    assert np.mean([one.seeds[0] for one in drawn]) == pytest.approx(0.04, abs=4 * error)
    assert np.mean([one.images[0] for one in drawn]) == pytest.approx(0.04, abs=4 * error)
    assert np.std(means - [one.seeds[0] for one in drawn]) < np.std(means)


@pytest.mark.parametrize("metric", answers.METRICS)
def test_the_truth_about_a_network_is_what_it_has_on_very_many_images(metric: str) -> None:
    generator = np.random.default_rng(2)
    world = answers.ClassWorld(images=100_000)
    faces = answers.draw_faces(world, generator)
    level = np.array([0.7])
    told, wrong = answers.answer(level, faces, 1, generator)
    found = of_predictions(answers.probabilities(told[0], wrong[0], faces.labels), faces.labels, metric, answers.CLASSES)
    assert found.mean() == pytest.approx(float(answers.truth(metric, level)[0]), abs=5 * found.std() / np.sqrt(found.size))


def test_near_identical_images_are_in_groups_of_their_number() -> None:
    drawn = worlds.draw(worlds.World(images=100, twins=(0.5, 4)), np.random.default_rng(0))
    assert drawn.groups is not None
    assert sorted(np.bincount(drawn.groups)) == [1] * 52 + [4] * 12
    unknown = worlds.draw(worlds.World(images=100, twins=(0.5, 4), twins_known=False), np.random.default_rng(0))
    assert unknown.groups is None


def test_what_does_not_hold_is_found() -> None:
    """Half of the images come four times over, and nobody knows: an interval over images must be found too narrow."""
    world = worlds.World(5, 300, twins=(0.8, 4), twins_known=False)
    scenario = replace(quick()[0], world=world)
    failures = outcome(scenario, 400, 0).failures
    assert any("images covers" in failure for failure in failures)
    assert not replace(outcome(scenario, 20, 0), scenario=replace(scenario, holds=False)).failures


def test_false_verdicts_and_wrong_predictions_are_failures() -> None:
    shares = {
        "false difference": Share(0.08, 0.005, 3000),
        "false none": Share(0.05, 0.005, 3000),
        "shown": Share(0.6, 0.01, 2000),
        "predicted": Share(0.7, 0.0, 0),
    }
    failures = Outcome(quick()[0], shares, 0.0).failures
    assert len(failures) == 2
    assert "false difference in 8.0%" in failures[0]
    assert "predicted 70.0%" in failures[1]


def test_the_same_seed_gives_the_same_numbers() -> None:
    world = worlds.World(3, 100)
    assert study_world(world, 20, 1) == study_world(world, 20, 1)
    assert study_world(world, 20, 1) != study_world(world, 20, 2)


def test_the_page_has_a_table_for_each_part() -> None:
    outcomes = [Outcome(one, {"both": Share(0.95, 0.01, 100)}, 0.0) for one in everything()]
    results = {
        "date": "2026-01-01",
        "studies": 100,
        "seed": 0,
        "minutes": 1.0,
        "versions": {"numpy": "2"},
        "hardware": "2 cores",
        "worlds": [one.as_json for one in outcomes],
    }
    text = page.page(results, "2026-01-01.json")
    assert text.count("\n## ") == len({one.part for one in everything()})
    assert "95.0 ± 1.0" in text


@pytest.mark.slow
def test_the_quick_part_holds() -> None:
    done = subprocess.run([sys.executable, "-m", "simulations", "--quick"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("everything holds\n")
