"""Two studies side by side: which effects are matched, how their difference is taken, and what the page and the command say."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ledger_fixture import PATH, make_ledger
from scipy import stats

from ferray.analysis.comparison import PAIRED_REDRAWN, comparison_info, match_sentence, welch
from ferray.analysis.comparison_page import make_comparison
from ferray.analysis.figures import Drawing
from ferray.analysis.results import Results
from ferray.analysis.statistics import student
from ferray.errors import LedgerError

OTHER = {name: PATH[name] for name in ("cnn", "no augmentation", "dnn", "no augmentation, input scaling")}
OPTIONS: dict[str, Any] = {"seeds": 4, "images": 200, "epochs": 2}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Results:
    path = tmp_path_factory.mktemp("first")
    make_ledger(path, name="first", **OPTIONS)
    return Results.load(path, "first")


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The same data and seeds, of which one has no result; another order of variants, of which one is missing."""
    path = tmp_path_factory.mktemp("second")
    make_ledger(path, name="second", variants=OTHER, outcome={("cnn", 3): "failed"}, **{**OPTIONS, "epochs": 3})
    return Results.load(path, "second")


def accuracy(results: Results, variant: str) -> Any:
    finished = results.trials.query("status == 'finished'").set_index(["variant", "seed"])["test_accuracy"]
    return 100 * finished[variant]


def test_effects_are_matched_and_their_difference_is_paired_over_shared_seeds(first: Results, second: Results) -> None:
    info = comparison_info(first, second)
    assert [(match.first.kind, match.first.subject) for match in info.headline] == [
        ("effect", "augmentation"),
        ("effect", "augmentation+input_scaling"),
        ("step", "input_scaling"),
        ("variant", "dnn"),
    ]
    match = info.headline[0]
    effects = [accuracy(one, "cnn") - accuracy(one, "no augmentation") for one in (first, second)]
    differences = (effects[0] - effects[1]).dropna()
    assert (match.shared, len(differences)) == (3, 3)
    assert match.difference.mean == pytest.approx(differences.mean())
    assert info.only == (("augmentation, input scaling and batch norm", "batch norm after augmentation and input scaling"), ())


def test_settings_that_differ_are_told_and_no_others(first: Results, second: Results) -> None:
    assert comparison_info(first, second).settings == (("base.epochs", "2", "3"),)


def test_studies_of_other_images_have_unpaired_differences(first: Results, tmp_path: Path) -> None:
    make_ledger(tmp_path, name="third", **{**OPTIONS, "images": 220})
    info = comparison_info(first, Results.load(tmp_path, "third"))
    assert not info.same_data
    match = info.headline[0]
    assert match.shared == 0
    left, right = (one.estimates["both"] for one in (match.first, match.second))
    assert match.difference.mean == pytest.approx(left.mean - right.mean)
    assert match.difference.error == pytest.approx(math.hypot(left.error, right.error))


def test_an_unpaired_difference_of_seeds_alone_is_welchs_test() -> None:
    generator = np.random.default_rng(2)
    values = generator.normal(1, 1, 4), generator.normal(0, 3, 7)
    left, right = (student(one.mean(), float(stats.sem(one)), len(one) - 1, len(one)) for one in values)
    expected = stats.ttest_ind(*values, equal_var=False)
    assert welch(left, right).p == pytest.approx(expected.pvalue)


def test_verdicts_agree_differ_or_contradict(first: Results, second: Results) -> None:
    for match in comparison_info(first, second).matches:
        verdicts = {match.first.verdict, match.second.verdict}
        expected = (
            "" if None in verdicts else "agree" if len(verdicts) == 1 else "contradict" if verdicts == {"helps", "hurts"} else "differ"
        )
        assert match.agreement == expected


def test_the_page_has_the_sentences_a_figure_and_claims_of_its_own(
    first: Results, second: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr("ferray.analysis.page.render", lambda name, draw, fonts: drawn.append(draw()) or Drawing(name, b"", b""))
    report = make_comparison(first, second, folder=tmp_path / "page")
    text = report.page.read_text(encoding="utf-8")
    info = comparison_info(first, second)
    assert all(match_sentence(info, match) in text for match in info.headline)
    assert "What differs between the studies" in text
    assert [label.get_text() for label in drawn[0].axes[0].get_yticklabels()][:2] == ["augmentation", "augmentation and input scaling"]
    told = json.loads((tmp_path / "page" / "claims.json").read_text())
    assert told["study"] == "first and second"
    assert {claim["kind"] for claim in told["claims"]} == {"comparison"}
    assert all(set(claim["details"]) == {"first", "second", "agreement"} for claim in told["claims"])


def test_studies_without_a_common_effect_have_a_page_that_says_so(first: Results, tmp_path: Path) -> None:
    make_ledger(tmp_path, name="lonely", variants={"cnn": ({}, [])}, **OPTIONS)
    report = make_comparison(first, Results.load(tmp_path, "lonely"), folder=tmp_path / "page")
    assert "no effect in common" in report.summary[0]


def test_what_cannot_be_compared_is_refused(first: Results, tmp_path: Path) -> None:
    make_ledger(tmp_path, name="pets", classes=["cat", "dog"], **OPTIONS)
    with pytest.raises(LedgerError, match=r"their classes differ: angry, .* and cat, dog"):
        comparison_info(first, Results.load(tmp_path, "pets"))
    with pytest.raises(LedgerError, match="first would be compared with itself"):
        comparison_info(first, Results.load(first.ledger, "first"))


def test_studies_of_one_name_are_told_apart_by_their_storage(first: Results, tmp_path: Path) -> None:
    make_ledger(tmp_path, name="first", **OPTIONS)
    assert comparison_info(first, Results.load(tmp_path, "first")).names[1] == f"first in {tmp_path}"


def test_the_command_compares_two_folders_and_tells_mistakes_with_status_two(first: Results, second: Results) -> None:
    command = [sys.executable, "-m", "ferray.report", "--compare", str(first.ledger.path)]
    done = subprocess.run([*command, str(second.ledger.path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"report: {first.ledger.path / 'reports' / 'first-vs-second' / 'index.html'}"
    wrong = subprocess.run([*command, "secnd", "--storage", str(second.ledger.path)], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "no study 'secnd'" in wrong.stderr
    assert "did you mean 'second'" in wrong.stderr


def test_where_seeds_draw_their_images_studies_are_paired_by_seed_and_no_image_by_another_seed(tmp_path: Path) -> None:
    for name in ("first", "second"):
        options = {**OPTIONS, "epochs": 2 + (name == "second")}
        make_ledger(tmp_path / name, name=name, redrawn=True, test="absent", **options)
    info = comparison_info(*(Results.load(tmp_path / name, name) for name in ("first", "second")))
    match = info.headline[0]
    assert (match.shared, match.method) == (4, PAIRED_REDRAWN)
    apart = np.array([match.first.details["points"][seed] - match.second.details["points"][seed] for seed in range(4)])
    ratio = 200 / Results.load(tmp_path / "first", "first").images_in("train")
    assert match.difference.error == pytest.approx(math.sqrt((1 / 4 + ratio) * apart.var(ddof=1)))
