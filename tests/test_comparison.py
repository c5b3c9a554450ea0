"""Two studies side by side: which effects are matched, how their difference is taken, and what the page and the command say."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ledger_fixture import PATH, make_ledger
from test_factorial import factorial_ledger
from test_tuned import tuned_ledger

from ferray.analysis.claims import Verdict
from ferray.analysis.comparison import ComparisonInfo, comparison_info, match_name, match_sentence, surer_sentences
from ferray.analysis.comparison_page import make_comparison, summary
from ferray.analysis.figures import Drawing
from ferray.analysis.remarks import remarks
from ferray.analysis.results import Results
from ferray.analysis.statistics import Estimate
from ferray.errors import LedgerError
from ferray.ledger import openings

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
    alone = [[match_name(claim) for claim in own if claim.kind in ("effect", "step")] for own in info.only]
    assert alone == [["augmentation, input scaling and batch norm", "batch norm after augmentation and input scaling"], []]


def test_studies_of_other_images_have_unpaired_differences(first: Results, tmp_path: Path) -> None:
    make_ledger(tmp_path, name="third", **{**OPTIONS, "images": 220})
    info = comparison_info(first, Results.load(tmp_path, "third"))
    assert not info.same_images
    match = info.headline[0]
    assert match.shared == 0
    left, right = (one.estimates["both"] for one in (match.first, match.second))
    assert match.difference.mean == pytest.approx(left.mean - right.mean)
    assert match.difference.error == pytest.approx(math.hypot(left.error, right.error))


def of_verdicts(info: ComparisonInfo, *pairs: tuple[Verdict | None, Verdict | None]) -> ComparisonInfo:
    """With the first effect alone, once for each pair of verdicts."""
    match = info.headline[0]
    claims = [(replace(match.first, verdict=one), replace(match.second, verdict=other)) for one, other in pairs]
    return replace(info, matches=tuple(replace(match, first=one, second=other) for one, other in claims))


@pytest.mark.parametrize(
    ("one", "other", "expected", "told"),
    [
        ("helps", "helps", "agree", "; the verdicts agree"),
        ("no effect", "no effect", "agree", "; the verdicts agree"),
        ("inconclusive", "inconclusive", "open", "; both verdicts are open"),
        ("helps", "inconclusive", "differ", "; the verdicts differ"),
        ("hurts", "helps", "contradict", "; the verdicts contradict each other"),
    ],
)
def test_verdicts_agree_are_open_differ_or_contradict(
    first: Results, second: Results, one: Verdict, other: Verdict, expected: str, told: str
) -> None:
    info = of_verdicts(comparison_info(first, second), (one, other))
    assert info.matches[0].agreement == expected
    assert told in match_sentence(info, info.matches[0])


def test_without_two_verdicts_there_is_no_agreement(first: Results, second: Results) -> None:
    (match,) = of_verdicts(comparison_info(first, second), ("helps", None)).matches
    assert match.agreement == ""


def test_verdicts_that_are_open_in_both_studies_are_counted_apart(first: Results, second: Results) -> None:
    info = comparison_info(first, second)
    assert "Their verdicts: 0 decided alike in both, 3 open in both." in summary(of_verdicts(info, *[("inconclusive",) * 2] * 3))[0]
    mixed = of_verdicts(info, ("helps", "helps"), ("inconclusive", "inconclusive"), ("helps", "hurts"), ("helps", "inconclusive"))
    assert "Their verdicts: 1 decided alike in both, 1 open in both, 1 different, 1 contradictory." in summary(mixed)[0]
    assert "Not both have verdicts on any of them." in summary(of_verdicts(info, ("helps", None)))[0]


def test_the_page_has_the_sentences_a_figure_and_claims_of_its_own(
    first: Results, second: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr("ferray.analysis.page.render", lambda name, draw, fonts: drawn.append(draw()) or Drawing(name, b"", b""))
    report = make_comparison(first, second, folder=tmp_path / "page")
    text = report.page.read_text(encoding="utf-8")
    info = comparison_info(first, second)
    assert all(match_sentence(info, match) in text for match in info.headline)
    assert "Other claims side by side" in text
    assert "What differs between the studies" in text
    assert [label.get_text() for label in drawn[0].axes[0].get_yticklabels()][:2] == ["augmentation", "augmentation and input scaling"]
    told = json.loads((tmp_path / "page" / "claims.json").read_text())
    assert told["study"] == "first and second"
    assert {claim["kind"] for claim in told["claims"]} == {"comparison"}
    assert all(set(claim["details"]) == {"first", "second", "agreement", "way"} for claim in told["claims"])


def test_studies_without_a_common_effect_have_a_page_that_says_what_each_has(first: Results, tmp_path: Path) -> None:
    make_ledger(tmp_path, name="other", variants={"cnn": ({}, []), "small": ({"width": 0.5}, [])}, **OPTIONS)
    report = make_comparison(first, Results.load(tmp_path, "other"), folder=tmp_path / "page")
    assert "no effect in accuracy on the private test set in common" in report.summary[0]
    assert report.summary[1].startswith("first tells of augmentation; augmentation and input scaling; ")
    assert report.summary[2] == "other tells of small."
    text = report.page.read_text(encoding="utf-8")
    assert "first, effect: augmentation;" in text
    assert "other, variant: small." in text
    assert "calibration error" in text  # of the baselines, which both have


def test_factorial_and_tuned_effects_are_matched(tmp_path: Path) -> None:
    made = [factorial_ledger(tmp_path / name, images=160, epochs=epochs) for name, epochs in (("f", 2), ("g", 3))]
    kinds = [match.first.kind for match in comparison_info(*made).headline]
    assert {kind: kinds.count(kind) for kind in kinds} == {"main_effect": 3, "interaction": 3, "shapley": 3, "together": 1, "difference": 7}
    made = [tuned_ledger(tmp_path / name, draws=3, epochs=epochs) for name, epochs in (("t", 2), ("u", 3))]
    told = comparison_info(*made)
    names = [match_name(match.first) for match in told.headline if match.first.kind == "tuned"]
    assert names[:3] == [
        "augmentation, at the baseline's settings",
        "augmentation, at its own best settings",
        "augmentation, re-tuned minus frozen",
    ]
    assert {match.way for match in told.headline} == {"seeds and images"}


def test_what_variants_stand_against_and_which_factors_a_design_averages_over_is_told(first: Results, tmp_path: Path) -> None:
    make_ledger(tmp_path / "other", name="other", variants={"base": ({"width": 0.5}, []), "dnn": ({"model": "dnn"}, [])}, **OPTIONS)
    info = comparison_info(first, Results.load(tmp_path / "other", "other"))
    (sentence,) = [match_sentence(info, match) for match in info.headline]
    assert sentence.endswith("; the one against cnn, the other against base.")
    whole = factorial_ledger(tmp_path / "whole", images=160)
    removed = {"all": ({}, []), "no batch norm": ({"batch_norm": False}, ["batch_norm"])}
    document = {"ablation": {"design": "factorial", "factors": ["batch_norm"]}}
    settings = {"seeds": 4, "images": 160, "epochs": 3, "shape": (1, 8, 8)}
    make_ledger(tmp_path / "part", name="part", variants=removed, document=document, **settings)
    report = make_comparison(whole, Results.load(tmp_path / "part", "part"), folder=tmp_path / "page")
    assert "which are augmentation, batch norm and input scaling in report; batch norm in part." in report.page.read_text(encoding="utf-8")


def test_a_remark_on_both_studies_is_made_once(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        make_ledger(tmp_path / name, name=name, dead=("dropout",), samples=[{"dropout": 0.1}, {"dropout": 0.2}], **OPTIONS)
        made.append(Results.load(tmp_path / name, name))
    told = make_comparison(*made, folder=tmp_path / "page").remarks
    shared = [one for one in remarks(made[0]) if one in remarks(made[1])]
    assert shared
    assert [one for one in told if one.startswith("both studies: ")] == [f"both studies: {one}" for one in shared]
    assert not any(one.endswith(rest) for one in told for rest in shared if not one.startswith("both studies: "))


def test_a_trial_of_two_phases_is_planned_once(tmp_path: Path) -> None:
    first, second = (tuned_ledger(tmp_path / name, draws=3, epochs=epochs) for name, epochs in (("t", 2), ("u", 3)))
    report = make_comparison(first, second, folder=tmp_path / "page")
    trials = len(set(first.trials["key"]))
    assert trials < len(first.trials)
    assert f"{trials} of {trials} planned trials finished" in report.page.read_text(encoding="utf-8")


def test_the_page_says_why_a_difference_is_surer_than_its_parts(first: Results, second: Results) -> None:
    info = comparison_info(first, second)

    def only(way: str, width: float) -> ComparisonInfo:
        narrow = replace(info.headline[0], way=way, difference=Estimate(0.0, -width, width, 3))  # type: ignore[arg-type]
        return replace(info, matches=(narrow,))

    assert surer_sentences(only("seeds and images", 99.0)) == []
    (told,) = surer_sentences(only("seeds and images", 0.1))
    assert told.startswith("The difference of augmentation is surer")
    assert "drops out of their difference" in told
    (told,) = surer_sentences(only("independent", 0.1))
    assert "more degrees of freedom" in told


def test_verdicts_for_other_margins_say_so(first: Results, tmp_path: Path) -> None:
    make_ledger(tmp_path, name="strict", document={"smallest_effect": 40.0}, **OPTIONS)
    info = comparison_info(first, Results.load(tmp_path, "strict"))
    differing = [match_sentence(info, match) for match in info.headline if match.agreement == "differ"]
    assert differing
    assert all("which are given for effects of more than 0.5 points and of more than 40" in told for told in differing)
    assert all("both rest on the same trials" in told for told in differing)


def test_the_comparison_is_an_opening_of_the_test_sets(first: Results, tmp_path: Path) -> None:
    second = tuned_ledger(tmp_path / "t", draws=3)
    make_comparison(first, second, folder=tmp_path / "page")
    assert [(one.who, one.split) for one in openings.read(second.ledger, "report")] == [("compare", "test")]


def test_what_cannot_be_compared_is_refused(first: Results, tmp_path: Path) -> None:
    make_ledger(tmp_path, name="pets", classes=["cat", "dog"], **OPTIONS)
    with pytest.raises(LedgerError, match=r"their classes differ: angry, .* and cat, dog"):
        comparison_info(first, Results.load(tmp_path, "pets"))
    with pytest.raises(LedgerError, match="first would be compared with itself"):
        comparison_info(first, Results.load(first.ledger, "first"))


def test_studies_of_one_name_are_told_apart_by_their_storage(first: Results, tmp_path: Path) -> None:
    make_ledger(tmp_path, name="first", **OPTIONS)
    assert comparison_info(first, Results.load(tmp_path, "first")).names == (
        f"first in {first.ledger.path.name}",
        f"first in {tmp_path.name}",
    )


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
    assert (match.shared, match.way) == (4, "seeds")
    apart = np.array([match.first.details["points"][seed] - match.second.details["points"][seed] for seed in range(4)])
    ratio = 200 / Results.load(tmp_path / "first", "first").images_in("train")
    assert match.difference.error == pytest.approx(math.sqrt((1 / 4 + ratio) * apart.var(ddof=1)))
