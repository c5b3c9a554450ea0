"""The report: one page from the ledger alone, whatever state the study is in, and its command line."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from ledger_fixture import PATH, Made, make_ledger

from ferray.analysis.figures import Drawing
from ferray.analysis.report import make_report, write_report
from ferray.errors import FerrayError, LedgerError
from ferray.report import locate

OUTCOME = {("dnn", 1): "failed", ("no augmentation", 2): "missing", ("no augmentation, input scaling", 0): "diverged"}
ONE: dict[str, tuple[dict[str, Any], list[str]]] = {"cnn": ({}, [])}


class Page(HTMLParser):
    """The visible text of a page, its headings, and every address in it."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.words: list[str] = []
        self.addresses: list[str] = []
        self.pictures = 0
        self.open: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        self.pictures += tag == "img"
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words).replace("\N{NO-BREAK SPACE}", " "))


def test_a_report_of_images_that_seeds_draw_says_what_its_intervals_speak_about(tmp_path: Path) -> None:
    make_ledger(tmp_path, redrawn=True, test="absent", data_name="pets", epochs=2, variants=dict(list(PATH.items())[:3]))
    text = Page(write_report(tmp_path, "report")).text
    assert "Intervals over seeds speak about the training, and about the images, of which each seed draws its own." in text
    assert "Each seed is judged on images of its own" in text
    assert "judged on these very images" not in text
    assert "Wilson's 95 % interval over images is" not in text
    assert "Images to look at" not in text


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_ledger(tmp_path_factory.mktemp("ledger"), outcome=OUTCOME)


@pytest.fixture(scope="module")
def file(made: Made) -> Path:
    return write_report(made.path, "report")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A study of one trial that is half-way."""
    return make_ledger(tmp_path_factory.mktemp("small"), seeds=1, variants=ONE, outcome={("cnn", 0): "running"}, epochs=4)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves figures empty where a test reads the words only."""
    monkeypatch.setattr("ferray.analysis.page.render", lambda name, draw, fonts: Drawing(name, b"", b""))


@pytest.fixture(scope="module")
def page(file: Path) -> Page:
    return Page(file)


def test_the_page_answers_the_four_questions_and_closes_every_element(page: Page) -> None:
    titles = [
        "Models",
        "Training process",
        "Overfitting",
        "Ablation",
        "Calibration",
        "Which classes are confused",
        "Images to look at",
        "The test set",
        "Data",
        "Details",
    ]
    assert re.findall(rf"\b\d+ ({'|'.join(titles)})", page.text) == titles
    assert page.open == []
    assert page.pictures == 11


def test_the_page_needs_nothing_from_outside(page: Page, file: Path) -> None:
    outside = [one for one in page.addresses if not one.startswith(("data:", "#", "figures/", "tables/"))]
    assert outside == []
    assert "http" not in re.sub(r"data:image/png;base64,[^\"]*", "", file.read_text(encoding="utf-8"))
    for address in page.addresses:
        if address.startswith(("figures/", "tables/")):
            assert (file.parent / address).stat().st_size > 0


def test_a_wide_table_scrolls_under_its_caption_and_breaks_no_word(page: Page, file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert "<caption" not in text
    numbers = re.findall(r'<figure id="table-(\d+)">\s*<figcaption id="caption-\1">.*?</figcaption>\s*<div class="scroll"', text)
    assert numbers == [str(1 + place) for place in range(len(re.findall(r"Table \d+\.", page.text)))]
    screen, _, printed = text.partition("@media print")
    assert not re.search(r"\btd\b[^{}]*\{[^}]*anywhere", screen)
    assert "td { overflow-wrap: anywhere; }" in printed


def test_a_figure_that_is_narrower_than_the_text_is_not_blown_up(page: Page, file: Path) -> None:
    html = file.read_text(encoding="utf-8")
    (share,) = re.findall(r'<img [^>]*style="--share: ([\d.]+)"', html)  # of the confused pairs
    assert float(share) == pytest.approx(5.2 / 6.3, abs=0.01)
    assert "width: calc(100% * var(--share, 1))" in html
    assert "`" not in page.text.partition("Reproduce")[0]


def test_sentences_carry_mean_interval_and_number_of_seeds(page: Page) -> None:
    assert re.search(r"On the private test set, cnn reaches \d\d\.\d % \(95 % interval \d\d\.\d to \d\d\.\d over 3 seeds\)", page.text)
    effect = r"Augmentation: \S+ points \[\S+, \S+\] \(over images\) of accuracy on the private test set, 2 seeds x 160 images; no verdict"
    assert re.search(effect, page.text)
    confusion = r"The largest confusion of cnn, as a share of the true class, is \w+ taken for \w+, in \d\d\.\d % of its images"
    assert re.search(rf"{confusion} \(95 % interval \S+ to \S+, n = \d+ images, 3 seeds\)", page.text)
    assert "The largest confusions of cnn by share of the true class" in page.text
    rises = r"Without augmentation: the loss on the public test set rises after epoch \S+ (?:\(median; \d to \d\) )?in 2 of 2 trainings"
    assert re.search(rf"{rises} \(95 % interval of the share 16 to 100 %\)\.", page.text)
    assert "besides, 1 diverged, with no end to judge" in page.text
    assert "depends on the order of the path" in page.text


def test_failed_diverged_and_missing_trials_are_told_with_their_errors(page: Page, made: Made) -> None:
    assert "12 of 15 planned trials finished" in page.text
    assert "failed: dnn, seed 1, after 4 epochs: RuntimeError: out of memory <while allocating>" in page.text
    assert 'File "training.py", line 12, in fit' in page.text
    assert "1 seed of 3 is missing from it, not averaged away: seed 0 (no augmentation, input scaling diverged)." in page.text
    assert "dnn, 1 of 3 trainings was lost (1 failed), of cnn 0 of 3; p = 1.000 (Fisher's exact test)." in page.text
    assert "1 missing" in page.text
    assert all(key in page.text for key in made.keys.values())


def test_the_page_has_the_study_file_command_and_environment(page: Page) -> None:
    assert "base: {model: cnn, epochs: 12} # <as the study file says>" in page.text
    assert "python -m ferray.tune report.yaml" in page.text
    assert "0123abc" in page.text
    assert "These differ between trials" in page.text
    assert "dirty" in page.text


def test_real_data_are_not_called_synthetic(page: Page) -> None:
    assert "synthetic" not in page.text.lower()


def test_figures_and_tables_are_files_too(file: Path) -> None:
    names = {one.name for one in (file.parent / "figures").iterdir()}
    figures = ("models", "curves", "overfitting", "ablation", "calibration", "confusion", "confused_pairs", "examples")
    figures += ("gallery_hard", "gallery_fixed", "gallery_broken")
    assert names == {f"{name}.{ending}" for name in figures for ending in ("png", "pdf")}
    tables = (
        "models",
        "overfitting",
        "effects",
        "effects_metrics",
        "effects_by_class",
        "calibration",
        "confusion",
        "classes",
        "confused_pairs",
        "data",
    )
    tables += ("confused_pairs", "confusion_rates", "statements", "galleries", "data", "trials")
    names = {one.name for one in (file.parent / "tables").iterdir()}
    assert names == {f"{name}.{ending}" for name in tables for ending in ("csv", "md", "tex")}


def test_synthetic_data_are_named_at_the_top_and_in_every_caption(tmp_path: Path) -> None:
    draws = [{"l1": 1e-6}, {"l1": 1e-4}]
    make_ledger(tmp_path, synthetic=True, data_name="synthetic", seeds=2, variants=ONE, samples=draws, epochs=4, title=None)
    page = Page(write_report(tmp_path, "report", folder=tmp_path / "elsewhere"))
    assert "The images of this study are synthetic data" in page.text
    assert len(re.findall(r"Figure \d+\. Synthetic data\.", page.text)) == page.pictures == 9
    assert "The search tried 2 samples of 1 variant, with this many different values: 2 of l1." in page.text
    assert "The study removes nothing, so there is no ablation." in page.text
    assert (tmp_path / "elsewhere" / "index.html").exists()
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize("fate", ["missing", "running", "failed", "diverged"])
def test_a_study_without_results_has_a_report_that_says_so(tmp_path: Path, fate: str) -> None:
    make_ledger(tmp_path, seeds=1, variants=ONE, outcome={("cnn", 0): fate}, epochs=4)
    page = Page(write_report(tmp_path, "report"))
    lost = fate in ("failed", "diverged")
    assert (f"The only trial {fate}, so that nothing can be compared." in page.text) == lost
    assert ("No trial has finished yet, so there is nothing to compare." in page.text) != lost
    assert "No trial has finished, so there is no confusion matrix." in page.text
    assert f"0 of 1 planned trials finished, 1 {'interrupted' if fate == 'running' else fate}" in page.text


def test_one_seed_has_numbers_and_is_said_to_have_no_interval(tmp_path: Path, undrawn: None) -> None:
    make_ledger(tmp_path, seeds=1, epochs=4)
    page = Page(write_report(tmp_path, "report"))
    assert re.search(r"cnn reaches \d\d\.\d % \(one seed, so no interval\)", page.text)
    assert "nan" not in page.text.lower().split()


def test_damage_and_lost_images_are_told_and_do_not_stop_the_report(tmp_path: Path, undrawn: None) -> None:
    made = make_ledger(tmp_path, seeds=2, epochs=4)
    (tmp_path / "trials" / made.keys["cnn", 0, 0] / "record.json").write_text("{")
    (tmp_path / "trials" / made.keys["cnn", 0, 1] / "predictions.npz").write_bytes(b"")
    for file in (tmp_path / "data").glob("*/evaluation.npz"):
        file.unlink()
    page = Page(write_report(tmp_path, "report"))
    assert page.text.count("Cannot be read") == 2
    assert "1 damaged" in page.text
    assert page.text.count("record.json cannot be read") == 1
    assert "damaged: cnn, seed 0, after 0 epochs" in page.text


def test_a_shortened_study_says_so_and_reads_nothing_into_published_numbers(tmp_path: Path, undrawn: None) -> None:
    make_ledger(tmp_path / "short", seeds=2, epochs=2, published_epochs=50)
    short = Page(write_report(tmp_path / "short", "report")).text
    assert "A short run: the networks were trained for 2 epochs where the published ones had 50." in short
    assert "nothing follows about whether the published accuracies can be reproduced" in short
    assert "hollow diamonds are published numbers, of a longer or fuller training" in short
    assert "our interval" not in short
    assert "Whether a loss rises again is told of trainings of 5 epochs or more." in short
    make_ledger(tmp_path / "full", seeds=2)
    full = Page(write_report(tmp_path / "full", "report")).text
    assert re.search(r"The published accuracy of cnn is 62\.2 %, which lies \w+ our interval over seeds; ours differs by \S+ points", full)
    assert "A short run" not in full


def test_a_study_without_a_file_shows_its_settings(tmp_path: Path, undrawn: None) -> None:
    make_ledger(tmp_path, seeds=2, variants=ONE, epochs=4)
    file = tmp_path / "studies" / "report" / "study.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "text": None}))
    text = Page(write_report(tmp_path, "report")).text
    assert "The study's settings, which no file holds: name: report seeds: - 0 - 1" in text


def test_an_ablation_without_a_pair_has_sentences_and_no_empty_figure(tmp_path: Path, undrawn: None) -> None:
    variants = {name: PATH[name] for name in ("cnn", "no augmentation")}
    make_ledger(tmp_path, variants=variants, seeds=1, outcome={("cnn", 0): "missing"}, epochs=4)
    page = Page(write_report(tmp_path, "report"))
    assert "Augmentation: no seed was finished on both sides (cnn and no augmentation), so nothing is known of it." in page.text
    assert "ablation.png" not in " ".join(page.addresses)


def test_an_ablation_of_searched_variants_says_that_each_was_tuned(tmp_path: Path, undrawn: None) -> None:
    variants = {name: PATH[name] for name in ("cnn", "no augmentation")}
    make_ledger(tmp_path, seeds=2, variants=variants, samples=[{"l1": 1e-6}, {"l1": 1e-4}], epochs=4)
    assert "a difference is that of two tuned variants" in Page(write_report(tmp_path, "report")).text


def test_trials_that_diverged_at_once_are_not_pointed_out_as_alike(tmp_path: Path, undrawn: None) -> None:
    made = make_ledger(tmp_path, seeds=2, variants=ONE, epochs=4, outcome={("cnn", 0): "diverged", ("cnn", 1): "diverged"})
    first, second = (tmp_path / "trials" / key for key in made.keys.values())
    shutil.copy(first / "epochs.jsonl", second / "epochs.jsonl")
    assert "Trials with the same numbers" not in Page(write_report(tmp_path, "report")).text


def test_trials_with_the_same_numbers_are_pointed_out_at_the_top_in_the_details_and_in_the_terminal(tmp_path: Path, undrawn: None) -> None:
    made = make_ledger(tmp_path, seeds=2, variants=ONE, epochs=4, dead=("seed",))
    report = make_report(tmp_path, "report")
    text = Page(report.page).text
    assert text.index("The seed changes nothing: 2 trials of cnn with different seeds (0 and 1)") < text.index("1 Models")
    assert len(report.remarks) == 1
    assert "The seed changes nothing" in report.remarks[0]
    assert "2 trials that differ in seed" in text
    assert ", ".join(made.keys.values()) in text
    assert re.search(r"cnn reaches \d\d\.\d % \(the same in all 2 seeds; their interval is a point, which is no certainty\)", text)
    assert "That does not mean that another seed could give no other" in text


@pytest.mark.parametrize("test", ["absent", "unlabelled"])
def test_without_test_labels_everything_is_told_of_validation_with_a_warning(tmp_path: Path, test: Literal["absent", "unlabelled"]) -> None:
    make_ledger(tmp_path, test=test, seeds=2, epochs=5, data_name="flowers", shape=(3, 12, 8), published={})
    page = Page(write_report(tmp_path, "report"))
    assert "There are no figures on the test set." in page.text
    assert "they are optimistic, and no unseen images bear them out" in page.text
    assert re.search(r"On the validation set, cnn reaches \d\d\.\d %", page.text)
    told = r"Augmentation: \S+ points \[\S+, \S+\] \(over images\) of accuracy on the validation set, 2 seeds x 160 images"
    assert re.search(told, page.text)
    assert "Confusion matrix of cnn on the validation set" in page.text
    assert "There are no figures on a test set, so none here is of images that selected nothing." in page.text
    assert page.text.count("test set") == 2
    assert not {"nan", "n/a", "NaN"} & set(page.text.split())
    assert page.pictures == 11


def test_published_numbers_of_validation_stand_beside_it_where_there_is_no_test(tmp_path: Path, undrawn: None) -> None:
    make_ledger(tmp_path, test="absent", seeds=2, epochs=4)
    assert "The published accuracy of cnn is 62.2 %" in Page(write_report(tmp_path, "report")).text


def test_hostile_names_are_text_in_every_form(tmp_path: Path, undrawn: None) -> None:
    evil = "<script>alert(1)</script>"
    classes = [evil, "=HYPERLINK(1)", "$x_1$ & 5 %", "a|b"]
    variants: dict[str, tuple[dict[str, Any], list[str]]] = {evil: ({}, []), "+1": ({"augmentation.rotation": 0.0}, ["augmentation"])}
    notes = [f"2 near-identical images: {evil}"]
    make_ledger(tmp_path, classes=classes, variants=variants, data_name=evil, notes=notes, title=evil, seeds=2, epochs=3, published={})
    file = write_report(tmp_path, "report")
    page = Page(file)
    assert page.open == []
    assert "<script" not in file.read_text(encoding="utf-8")
    assert page.text.count(evil) > 5
    tables = file.parent / "tables"
    assert "<script" not in "".join(one.read_text(encoding="utf-8").replace("\\<", "") for one in tables.glob("*.md"))
    for one in tables.glob("*.csv"):
        cells = [cell for row in csv.reader(one.open(encoding="utf-8")) for cell in row]
        assert not [cell for cell in cells if cell.startswith(("=", "@"))]
    assert "'=HYPERLINK(1)" in (tables / "classes.csv").read_text(encoding="utf-8")
    assert r"\$x\_1\$ \& 5 \%" in (tables / "classes.tex").read_text(encoding="utf-8")


def test_what_was_done_to_the_data_and_its_counts_have_a_section(tmp_path: Path, undrawn: None) -> None:
    notes = ["images of 3 sizes were resized to 32 x 32 pixels"]
    make_ledger(tmp_path, data_name="pets", classes=["cat", "dog"], shape=(3, 32, 32), notes=notes, seeds=1, epochs=2, published={})
    text = Page(write_report(tmp_path, "report")).text
    assert "Study report on the data set pets (3,999 training, 160 validation, 160 test images of 2 classes)" in text
    assert "8 Data Images of 3 sizes were resized to 32 x 32 pixels." in text
    assert "Images of the data set pets by class and split; the networks see colour images of 32 x 32 pixels." in text
    assert "public test" not in text


def test_votes_are_a_diagnosis_and_in_no_score(tmp_path: Path) -> None:
    make_ledger(tmp_path / "votes", votes=True, seeds=2, epochs=4)
    make_ledger(tmp_path / "plain", votes=False, seeds=2, epochs=4)
    with_votes, plain = (Page(write_report(tmp_path / name, "report")) for name in ("votes", "plain"))
    assert "8 Label noise, as ten people voted" in with_votes.text
    assert "Their votes are a diagnosis here and in no score of this report" in with_votes.text
    assert "Label noise" not in plain.text
    assert with_votes.pictures == plain.pictures + 1
    scores = [(tmp_path / name / "reports/report/tables/models.csv").read_text() for name in ("votes", "plain")]
    assert scores[0] == scores[1]


def test_a_search_says_at_the_top_and_at_the_table_whom_the_numbers_stand_for(tmp_path: Path, undrawn: None) -> None:
    make_ledger(tmp_path, seeds=2, variants=ONE, samples=[{"l1": 1e-6}, {"l1": 1e-4}, {"l1": 1e-2}], epochs=3)
    text = Page(write_report(tmp_path, "report")).text
    told = "Each variant is represented by the best of its samples (up to 3), chosen by mean accuracy on the public test set, among those"
    assert text.count(told) == 2
    assert "The search tried 3 samples of 1 variant, with this many different values: 3 of l1." in text


def test_a_search_that_is_not_over_says_how_much_was_tried_and_names_a_best_sample_without_values(tmp_path: Path, undrawn: None) -> None:
    own: dict[str, list[dict[str, Any]]] = {"cnn": [{}, {"l1": 1e-2}]}
    made = make_ledger(tmp_path, seeds=1, variants=ONE, own_draws=own, epochs=3)
    shutil.rmtree(tmp_path / "trials" / made.keys["cnn", 1, 0])
    text = Page(write_report(tmp_path, "report")).text
    assert "The search tried 1 of 2 planned samples of 1 variant." in text
    assert re.search(r"The best is sample 0 of cnn: \d\d\.\d %", text)


def test_a_sample_that_lost_a_seed_is_not_chosen_and_the_page_says_by_what_rule(tmp_path: Path, undrawn: None) -> None:
    made = make_ledger(tmp_path, seeds=2, variants=ONE, samples=[{"l1": 1e-6}, {"l1": 1e-2}], epochs=3)
    shutil.rmtree(tmp_path / "trials" / made.keys["cnn", 0, 1])
    text = Page(write_report(tmp_path, "report")).text
    assert "The best is sample 1 of cnn with l1 = 0.01" in text
    assert text.count("among those with the most finished seeds") == 4


def test_networks_of_equal_accuracy_are_not_told_apart(tmp_path: Path, undrawn: None) -> None:
    variants: dict[str, tuple[dict[str, Any], list[str]]] = {"cnn": ({}, []), "penalty": ({"l2": 0.5}, [])}
    make_ledger(tmp_path, seeds=2, variants=variants, dead=("l2",), epochs=3)
    assert "penalty against cnn: 0.0 points" in Page(write_report(tmp_path, "report")).text


def test_doubt_about_labels_is_told_only_where_errors_gather_there(tmp_path: Path, undrawn: None) -> None:
    make_ledger(tmp_path, seeds=1, variants=ONE, votes=True, epochs=3)
    assert "may be doubt about the label" in votes_of_errors(tmp_path, against=True)
    assert "may be doubt about the label" not in votes_of_errors(tmp_path, against=False)


def votes_of_errors(path: Path, *, against: bool) -> str:
    """The page after each test image got ten votes, for its label or another one as the network was right or, if ``against``, wrong."""
    predictions = np.load(next(path.glob("trials/*/predictions.npz")))["test_selected"].argmax(axis=1)
    file = next(path.glob("data/*/evaluation.npz"))
    arrays = dict(np.load(file))
    labels = arrays["test_labels"]
    disagrees = (predictions != labels) == against
    disagrees[:5] = ~disagrees[:5]  # so that neither kind is of one sort alone
    size = arrays["test_votes"].shape[1]
    arrays["test_votes"] = 10 * np.eye(size, dtype=np.float32)[(labels + disagrees) % size]
    np.savez_compressed(file, **arrays)
    return Page(write_report(path, "report")).text


@pytest.mark.parametrize("fate", ["missing", "failed", "diverged", "running"])
@pytest.mark.parametrize("test", ["labelled", "absent"])
def test_a_study_of_which_nothing_or_half_is_there_has_a_report(
    tmp_path: Path, fate: str, test: Literal["labelled", "absent"], undrawn: None
) -> None:
    variants: dict[str, tuple[dict[str, Any], list[str]]] = {
        "net": ({"model": "torchvision:resnet18"}, []),
        "no augmentation": ({"model": "torchvision:resnet18", "augmentation.rotation": 0.0}, ["augmentation"]),
    }
    for name, lost in (("all", [0, 1, 2]), ("half", [0])):
        outcome = {(variant, seed): fate for variant in variants for seed in lost}
        make_ledger(tmp_path / name, variants=variants, seeds=3, epochs=4, outcome=outcome, test=test, published={}, samples=[{"l1": 0.1}])
        text = Page(write_report(tmp_path / name, "report")).text
        assert "resnet18 (torchvision)" in text
        assert not {"nan", "NaN", "nan%"} & set(text.split())
        lost = fate in ("failed", "diverged")
        assert ("No trial has finished yet" in text) == (name == "all" and not lost)
        assert (f"All 6 trials {fate}, so that nothing can be compared." in text) == (name == "all" and lost)
        assert ("It speaks of the seeds that both sides finished." in text) == (name == "half")


def test_trials_that_diverged_and_failed_are_counted_apart(tmp_path: Path, undrawn: None) -> None:
    outcome = {("cnn", 0): "diverged", ("cnn", 1): "failed", ("cnn", 2): "diverged"}
    make_ledger(tmp_path, variants=ONE, epochs=4, outcome=outcome)
    text = Page(write_report(tmp_path, "report")).text
    assert "All 3 trials diverged (2) or failed (1), so that nothing can be compared." in text
    assert "finished yet" not in text


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_report_of_hundreds_of_trials_counts_seeds_instead_of_listing_them(tmp_path: Path) -> None:
    removed = ["l1"]
    variants: dict[str, tuple[dict[str, Any], list[str]]] = {f"variant {n}": ({"l1": 1e-5 * n}, removed * (n % 3 == 2)) for n in range(20)}
    make_ledger(tmp_path, variants=variants, seeds=15, epochs=10, published={}, data_name="mine")
    page = Page(write_report(tmp_path, "report"))
    assert "300 of 300 planned trials finished" in page.text
    assert page.text.count("15 finished") == 20
    assert "; 10 further variants below" in page.text
    assert page.pictures == 12


def test_a_report_can_be_written_again(small: Made) -> None:
    file = write_report(small.path, "report")
    before = file.read_bytes()
    assert write_report(small.path, "report") == file
    assert file.read_bytes() == before
    assert not list(file.parent.glob(".index*"))


def test_a_folder_that_cannot_be_written_is_the_users_mistake(made: Made, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot write the report to"):
        write_report(made.path, "report", folder=tmp_path / "file")


def test_a_study_is_found_by_name_file_storage_or_report_folder(made: Made, file: Path, tmp_path: Path) -> None:
    study = tmp_path / "any.yaml"
    study.write_text("name: report\n")
    for given, storage in (
        ("report", made.path),
        (str(study), made.path),
        (str(made.path), tmp_path),
        (str(file.parent), tmp_path),
        (str(made.path / "studies" / "report"), tmp_path),
        (None, made.path),
    ):
        ledger, name = locate(given, storage)
        assert (ledger.path, name) == (made.path, "report")


def test_of_several_studies_the_one_run_last_is_meant_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_ledger(tmp_path / "one", seeds=1, variants=ONE, name="old", epochs=2)
    make_ledger(tmp_path / "two", seeds=1, variants=ONE, name="new", epochs=2, created="2026-11-21T10:00:00+00:00")
    shutil.copytree(tmp_path / "two" / "studies" / "new", tmp_path / "one" / "studies" / "new")
    assert locate(str(tmp_path / "one"), tmp_path)[1] == "new"
    assert "holds 2 studies (new, old); this is the one run last, new" in capsys.readouterr().out


def test_what_cannot_be_found_is_told_with_what_there_is(made: Made, tmp_path: Path) -> None:
    nameless = tmp_path / "nameless.yaml"
    nameless.write_text("seeds: 3\n")
    with pytest.raises(FerrayError, match="a study file says its name"):
        locate(str(nameless), made.path)
    with pytest.raises(LedgerError, match=r"no study 'rapport'.*did you mean 'report'.*there are: report"):
        locate("rapport", made.path)
    with pytest.raises(LedgerError, match="no study has been run into"):
        locate("report", tmp_path)
    with pytest.raises(LedgerError, match="is no storage folder"):
        locate(str(tmp_path), made.path)


def test_the_command_writes_the_page_and_tells_mistakes_with_status_two(small: Made) -> None:
    command = [sys.executable, "-m", "ferray.report"]
    done = subprocess.run([*command, "report", "--storage", str(small.path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"report: {small.path / 'reports' / 'report' / 'index.html'}"
    wrong = subprocess.run([*command, "other", "--storage", str(small.path)], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr == f"error: no study 'other' in {small.path} (there are: report)\n"
    assert wrong.stdout == ""


def test_reading_and_reporting_load_neither_ray_nor_torch(small: Made) -> None:
    program = (
        "import sys; from pathlib import Path; import ferray.report; from ferray import Results; import ferray.analysis.report;"
        f"ferray.report.main('report', Path({str(small.path)!r}));"
        "sys.exit(', '.join(name for name in ('ray', 'torch') if name in sys.modules) or None)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
