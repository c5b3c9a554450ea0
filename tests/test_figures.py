"""Figures: the numbers that they show, and what every one of them must say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ledger_fixture import Made, make_ledger
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy import stats

from ferray.analysis import figures
from ferray.analysis.ablation import ablation_info
from ferray.analysis.accuracy import draw_models, models_info
from ferray.analysis.answers import Answers
from ferray.analysis.confusion import LARGEST, ConfusionInfo, confusion_info, draw_confusion, pairs_info
from ferray.analysis.confusion_rates import rates
from ferray.analysis.curves import FEWEST, curves_info
from ferray.analysis.effect_sentences import verdict_words
from ferray.analysis.examples import examples_info
from ferray.analysis.prose import search_sentences
from ferray.analysis.results import Results
from ferray.analysis.samples import draw_search, logarithmic_ticks, search_info
from ferray.analysis.selection import best_variant, chosen_samples
from ferray.analysis.style import shortened
from ferray.analysis.tables import search_table
from ferray.analysis.votes import votes_info
from ferray.errors import LedgerError

Variants = dict[str, tuple[dict[str, Any], list[str]]]

OUTCOME = {("dnn", 1): "failed", ("no augmentation", 3): "missing", ("no augmentation, input scaling", 0): "diverged"}
DRAWS = [{"l1": 1e-6, "optimizer": "sgd"}, {"l1": 1e-3, "optimizer": "adam"}]
TWO: Variants = {"cnn": ({}, []), "dnn": ({"model": "dnn"}, [])}
ONE: Variants = {"cnn": ({}, [])}
FIGURES = [
    figures.models_figure,
    figures.curves_figure,
    figures.ablation_figure,
    figures.confusion_figure,
    figures.pairs_figure,
    figures.examples_figure,
    figures.overfitting_figure,
    figures.calibration_figure,
    figures.hard_figure,
    figures.search_figure,
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_ledger(tmp_path_factory.mktemp("ledger"), seeds=4, outcome=OUTCOME)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Results:
    variants: Variants = {**TWO, "no augmentation": ({"augmentation.rotation": 0.0}, ["augmentation"])}
    path = tmp_path_factory.mktemp("search")
    search = {"l1": {"loguniform": [1e-7, 1e-2]}, "optimizer": {"choice": ["sgd", "adam"]}}
    make_ledger(path, seeds=2, samples=DRAWS, search=search, variants=variants, synthetic=True, data_name="synthetic", epochs=4)
    return Results.load(path, "report")


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def test_models_have_the_mean_and_interval_of_their_finished_seeds(results: Results) -> None:
    models = {model.variant: model for model in models_info(results).models}
    values = results.trials.query("variant == 'dnn' and status == 'finished'")["test_accuracy"].to_numpy() * 100
    low, high = stats.t.interval(0.95, len(values) - 1, loc=values.mean(), scale=stats.sem(values))
    estimate = models["dnn"].accuracy["test"]
    assert (estimate.mean, estimate.low, estimate.high, estimate.n) == pytest.approx((values.mean(), low, high, 3))
    assert (models["dnn"].finished, models["dnn"].planned, models["dnn"].statuses["failed"]) == (3, 4, 1)
    assert models["dnn"].parameters == 2_076_697
    assert models["cnn"].published["test"] == pytest.approx(62.217)
    assert list(models) == list(results.variants)


def test_the_axis_of_accuracies_ends_where_accuracies_end_and_shows_the_largest_class(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, seeds=2, variants=TWO, epochs=4)
    for seed, accuracy in enumerate((0.02, 0.98)):
        file = tmp_path / "trials" / made.keys["dnn", 0, seed] / "epochs.jsonl"
        rows = [json.loads(line) | {"test_accuracy": accuracy} for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    results = Results.load(tmp_path, "report")
    labels = results.labels("test")
    assert labels is not None
    info = models_info(results)
    assert info.majority["test"] == pytest.approx(100 * np.bincount(labels).max() / labels.size)
    figure = figures.models_figure(results)
    assert [axes.get_xlim() for axes in figure.axes] == [(0, 100), (0, 100)]
    assert texts(figure).count("largest class") == 2


def test_published_numbers_are_compared_with_trainings_of_full_length_on_all_images_only(tmp_path: Path) -> None:
    for name, options in {"full": {}, "short": {"published_epochs": 50}, "part": {"subset": 2000}}.items():
        make_ledger(tmp_path / name, seeds=1, variants=TWO, epochs=2, **options)
    full, short, part = (models_info(Results.load(tmp_path / name, "report")) for name in ("full", "short", "part"))
    assert (full.comparable, short.comparable, part.comparable) == (True, False, False)
    assert (full.shortened, short.shortened, part.shortened) == (None, (2, 50), None)


def test_effects_are_drawn_by_kind_with_their_verdicts_and_no_effect_looks_like_none(results: Results, tmp_path: Path) -> None:
    info = ablation_info(results)
    assert [panel.kind for panel in info.panels] == ["effect", "step", "variant"]
    assert info.panels[1].names() == [
        "input scaling after augmentation (n=2)",
        "batch norm after augmentation\nand input scaling (n=3)",
    ]
    drawn = texts(figures.ablation_figure(results))
    assert {verdict_words(claim) for panel in info.panels for claim in panel.claims} <= set(drawn)
    variants: Variants = {"cnn": ({}, []), "no penalty": ({"l2": 0.5}, ["l2"])}
    make_ledger(tmp_path, variants=variants, dead=("l2",), seeds=2, epochs=2)
    for axes in figures.ablation_figure(Results.load(tmp_path, "report")).axes:
        assert axes.get_xlim() == (-0.625, 0.625)


def test_many_effects_are_split_over_several_figures(results: Results) -> None:
    info = ablation_info(results)
    parts = info.split(4)
    assert [[len(panel.claims) for panel in part.panels] for part in parts] == [[3, 1], [1, 1]]
    assert [claim for part in parts for panel in part.panels for claim in panel.claims] == [
        claim for panel in info.panels for claim in panel.claims
    ]
    assert info.split() == [info]


def test_curves_have_a_line_per_finished_seed_and_their_mean(results: Results) -> None:
    info = curves_info(results)
    assert info.seeds == {"cnn": 4, "dnn": 3, "no augmentation": 3, "no augmentation, input scaling": 3, list(results.variants)[-1]: 4}
    at = (info.means["variant"] == "cnn") & (info.means["split"] == "validation") & (info.means["metric"] == "accuracy")
    last = info.means[at].set_index("epoch").loc[12]
    values = results.epochs.query("variant == 'cnn' and epoch == 12")["validation_accuracy"] * 100
    assert (last["mean"], last["high"] - last["mean"], last["count"]) == pytest.approx((values.mean(), values.std(), 4))
    assert len(info.selected[info.selected["variant"] == "cnn"]) == 4


def test_overfitting_shows_as_a_gap_and_a_loss_that_turns_up(results: Results) -> None:
    processes = {one.variant: one for one in curves_info(results).processes}
    trainings = processes["no augmentation"].trainings
    assert processes["no augmentation"].rising == trainings
    assert [one.seed for one in trainings] == [0, 1, 2]
    assert all(one.gaps["accuracy", "last"] > 15 for one in trainings)
    assert all(one.lowest < 9 for one in trainings)
    assert processes["cnn"].rising == ()


def test_few_epochs_do_not_tell_whether_a_loss_turns_up(tmp_path: Path) -> None:
    make_ledger(tmp_path, seeds=2, epochs=FEWEST - 1)
    assert {one.rising for one in curves_info(Results.load(tmp_path, "report")).processes} == {None}


def test_one_bad_epoch_at_the_end_is_no_loss_that_turns_up(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, seeds=1, variants=ONE, epochs=9)
    file = tmp_path / "trials" / made.keys["cnn", 0, 0] / "epochs.jsonl"
    lines = file.read_text().splitlines()
    for bad, expected in (((8,), 0), ((7, 8), 1)):
        rows = [json.loads(line) | ({"validation_loss": 9.0} if number in bad else {}) for number, line in enumerate(lines)]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        rising = curves_info(Results.load(tmp_path, "report")).processes[0].rising
        assert rising is not None
        assert len(rising) == expected


def test_an_exploding_loss_does_not_hide_the_others(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, seeds=1, variants=TWO, epochs=30)
    assert np.isnan(curves_info(Results.load(tmp_path, "report")).highest_loss)
    file = tmp_path / "trials" / made.keys["dnn", 0, 0] / "epochs.jsonl"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([json.dumps({**json.loads(lines[0]), "validation_loss": 900.0}), *lines[1:]]) + "\n")
    results = Results.load(tmp_path, "report")
    info = curves_info(results)
    assert 2 < info.highest_loss < 8
    low, high = figures.curves_figure(results).axes[2].get_ylim()
    assert high == pytest.approx(info.highest_loss)
    assert -0.2 * high < low < info.lines.query("metric == 'loss'")["value"].min()


def test_a_training_that_diverged_ends_before_the_others_on_the_same_axis(tmp_path: Path) -> None:
    make_ledger(tmp_path, seeds=1, variants=TWO, epochs=12, outcome={("dnn", 0): "diverged"})
    limits = {axes.get_xlim() for axes in figures.curves_figure(Results.load(tmp_path, "report")).axes}
    assert len(limits) == 1
    assert limits.pop()[1] > 11


def test_many_variants_are_split_over_several_figures(results: Results) -> None:
    assert [part.variants for part in curves_info(results).split(2)] == [
        ("cnn", "dnn"),
        ("no augmentation", "no augmentation, input scaling"),
        (list(results.variants)[-1],),
    ]


def test_losing_a_seed_is_no_advantage_to_a_variant(tmp_path: Path) -> None:
    made = make_ledger(tmp_path, seeds=3, epochs=4, outcome={("cnn", 1): "failed"})
    results = Results.load(made.path, "report")
    means = results.trials.query("status == 'finished'").groupby("variant")["validation_accuracy"].mean()
    assert means.idxmax() == "cnn"
    assert best_variant(results) == means.drop("cnn").idxmax()


def test_the_matrix_sums_the_seeds_of_the_best_variant_on_validation(results: Results, made: Made) -> None:
    info = confusion_info(results)
    assert info is not None
    assert info.variant == best_variant(results) == "cnn"
    assert info.counts.sum() == 4 * 160
    accuracy = results.trials.query("variant == 'cnn'")["test_accuracy"].mean()
    assert np.trace(info.counts) / info.counts.sum() == pytest.approx(accuracy)
    assert info.shares.sum(axis=1) == pytest.approx(100)
    labels = results.labels("test")
    assert labels is not None
    assert sum(info.images.values()) == labels.size


def test_pairs_are_ordered_by_their_share_of_the_true_class(results: Results) -> None:
    confusion = confusion_info(results)
    assert confusion is not None
    info = pairs_info(confusion)
    shares = [pair.share.mean for pair in info.pairs]
    assert shares == sorted(shares, reverse=True)
    for pair in info.pairs:
        assert pair.images == confusion.images[pair.true]
        assert pair.share.mean == pytest.approx(100 * pair.count / (4 * pair.images))
        assert pair.share.low < pair.share.mean < pair.share.high
        assert np.mean(pair.by_seed) == pytest.approx(pair.share.mean)
    assert all(pair.true != pair.predicted for pair in info.pairs)


def test_a_class_without_images_is_no_pair() -> None:
    labels = np.array([0, 0, 0, 0])
    own = Answers("v", "test", (0,), ("key",), np.eye(2, dtype=np.float32)[[[0, 0, 0, 1]]], labels)
    counts = np.array([[3, 1], [0, 0]])
    pairs = rates(own, ("a", "b"))
    info = ConfusionInfo("v", "test", "test", ("a", "b"), counts, (0,), {"a": 4, "b": 0}, counts[None], False, pairs, (), own.keys)
    assert [(pair.true, pair.predicted) for pair in pairs_info(info).pairs] == [("a", "b")]
    assert np.isnan(info.shares[1]).all()
    assert "-" in texts(draw_confusion(info))


def test_examples_are_images_of_the_pair_with_the_most_confident_first(results: Results, made: Made) -> None:
    confusion = confusion_info(results)
    assert confusion is not None
    info = examples_info(results, pairs_info(confusion))
    labels, images = results.labels("test"), results.images("test")
    assert info is not None
    assert labels is not None
    assert images is not None
    for row in info.rows:
        assert [one.probability for one in row] == sorted((one.probability for one in row), reverse=True)
        for one in row:
            assert results.classes[labels[one.index]] == one.true != one.predicted
            assert one.probability > one.true_probability
            assert (one.image == images[one.index, 0]).all()


def test_a_search_chooses_each_variants_sample_on_validation(searched: Results) -> None:
    info = search_info(searched)
    assert info is not None
    means = searched.trials.groupby(["variant", "sample"])["validation_accuracy"].mean()
    assert chosen_samples(searched) == {variant: int(means[variant].idxmax()) for variant in searched.variants}
    assert (info.numeric, info.fields) == (("l1",), ("l1", "optimizer"))
    assert info.categories == {"optimizer": ("sgd", "adam")}
    assert info.logarithmic == {"l1": True}
    assert len(info.points) == 24
    ranked = [one.validation.mean for one in info.samples]
    assert ranked == sorted(ranked, reverse=True)
    assert all(0 <= one.validation.low <= one.validation.high <= 100 for one in info.samples)
    assert models_info(searched).models[0].planned == 2


def test_a_variant_that_fixes_a_searched_field_leaves_the_others_points(searched: Results, tmp_path: Path) -> None:
    shutil.copytree(searched.ledger.path, tmp_path / "fixed")
    file = tmp_path / "fixed" / "studies" / searched.name / "study.json"
    study = json.loads(file.read_text())
    fixing = list(study["variants"])[1]
    before = search_info(searched)
    assert before is not None
    name = before.numeric[0]
    for entry in study["plan"]:
        if entry["variant"] == fixing:
            del entry["overrides"][name]
    file.write_text(json.dumps(study))
    info = search_info(Results.load(tmp_path / "fixed", searched.name))
    assert info is not None
    assert name in info.numeric
    own = info.points[info.points["field"] == name]
    expected = before.points[(before.points["field"] == name) & (before.points["variant"] != fixing)]
    assert sorted(own["key"]) == sorted(expected["key"])


def test_without_a_search_there_is_none(results: Results) -> None:
    assert search_info(results) is None
    with pytest.raises(LedgerError, match="does not hold what this figure shows"):
        figures.search_figure(results)


@pytest.mark.parametrize("draw", FIGURES, ids=lambda draw: draw.__name__)
def test_every_figure_of_synthetic_data_says_so(searched: Results, draw: Callable[[Results], Figure]) -> None:
    figure = draw(searched)
    notes = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text() == "synthetic data"]
    assert len(notes) == 1
    assert notes[0].get_visible()


@pytest.mark.parametrize("draw", FIGURES[:-1], ids=lambda draw: draw.__name__)
def test_figures_of_real_data_do_not_speak_of_synthetic_data(results: Results, draw: Callable[[Results], Figure]) -> None:
    assert "synthetic data" not in texts(draw(results))


def test_fer2013_has_a_public_and_a_private_test_and_other_data_do_not(results: Results, searched: Results) -> None:
    assert "private test, 160 images" in texts(figures.models_figure(results))
    assert "test, 160 images" in texts(figures.models_figure(searched))


def test_figures_say_how_many_seeds_stand_behind_them(results: Results) -> None:
    assert "dnn (n=3)" in texts(figures.models_figure(results))
    assert "augmentation (n=3)" in texts(figures.ablation_figure(results))
    assert "n = 3" in texts(figures.curves_figure(results))


def test_a_study_without_finished_trials_draws_what_it_has(tmp_path: Path) -> None:
    make_ledger(tmp_path, seeds=1, variants=TWO, outcome={("cnn", 0): "running", ("dnn", 0): "missing"})
    results = Results.load(tmp_path, "report")
    assert "no finished trial" in texts(figures.models_figure(results))
    assert curves_info(results).variants == ("cnn",)
    assert curves_info(results).processes == ()
    assert "n = 1, none finished" in texts(figures.curves_figure(results))
    assert confusion_info(results) is None
    with pytest.raises(LedgerError, match="predictions and images of a finished trial"):
        figures.confusion_figure(results)


def test_a_matrix_of_many_classes_shows_the_most_confused_and_keeps_their_shares(tmp_path: Path) -> None:
    classes = [f"class {number:03d}" for number in range(100)]
    make_ledger(tmp_path, classes=classes, images=1200, seeds=2, epochs=2, variants=ONE, shape=(1, 8, 8))
    results = Results.load(tmp_path, "report")
    whole = confusion_info(results)
    assert whole is not None
    part = whole.readable()
    worst = pairs_info(whole).pairs[0]
    assert LARGEST - 1 <= len(part.classes) <= LARGEST  # a pair of which one class has no place is left out
    assert {worst.true, worst.predicted} <= set(part.classes)
    place = part.classes.index(worst.true), part.classes.index(worst.predicted)
    assert part.shares[place] == pytest.approx(worst.share.mean)
    figure = figures.confusion_figure(results)
    assert len(figure.axes) == 1
    assert worst.true in texts(figure)


def test_two_classes_and_tiny_colour_images_that_are_not_square_are_drawn(tmp_path: Path) -> None:
    make_ledger(tmp_path, classes=["cat", "dog"], images=60, seeds=2, epochs=2, variants=ONE, shape=(3, 8, 5))
    results = Results.load(tmp_path, "report")
    confusion = confusion_info(results)
    assert confusion is not None
    info = examples_info(results, pairs_info(confusion))
    assert info is not None
    assert info.rows[0][0].image.shape == (8, 5, 3)
    assert figures.confusion_figure(results).axes
    assert figures.examples_figure(results).axes


def test_figures_without_a_test_split_have_one_panel(tmp_path: Path) -> None:
    make_ledger(tmp_path, test="absent", data_name="mine", seeds=2, epochs=2)
    results = Results.load(tmp_path, "report")
    assert len(figures.models_figure(results).axes) == 1
    for draw in (figures.models_figure, figures.ablation_figure):
        assert not [text for text in texts(draw(results)) if "test" in text]


def test_names_verdicts_and_the_legend_of_effects_lie_inside_the_figure(tmp_path: Path) -> None:
    removed = ["augmentation", "batch_norm", "input_scaling", "label_smoothing"]
    variants: Variants = {"baseline": ({}, []), "no-" + "-".join(removed): ({"batch_norm": False}, removed)}
    make_ledger(tmp_path, variants=variants, seeds=3, epochs=2)
    figure = figures.ablation_figure(Results.load(tmp_path, "report"))
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    boxes = [text.get_window_extent(renderer) for text in figure.findobj(Text) if text.get_text().strip()]
    boxes += [legend.get_window_extent(renderer) for legend in figure.legends]
    width, height = renderer.get_canvas_width_height()
    assert all(box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1 for box in boxes)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1e-7, 1e-3, [1e-7, 1e-6, 1e-5, 1e-4, 1e-3]),
        (1e-12, 1, [1e-12, 1e-9, 1e-6, 1e-3, 1]),
        (0.0015, 0.023, [0.002, 0.005, 0.01, 0.02]),
        (0.0021, 0.0046, [0.003, 0.004]),
        (2.11, 2.35, [2.15, 2.2, 2.25, 2.3, 2.35]),
    ],
)
def test_a_logarithmic_axis_has_some_round_numbers_however_narrow_it_is(low: float, high: float, ticks: list[float]) -> None:
    assert logarithmic_ticks(low, high) == pytest.approx(ticks)


def test_a_searched_word_has_a_strip_per_value_and_a_trial_without_the_field_no_dot(tmp_path: Path) -> None:
    own: dict[str, list[dict[str, Any]]] = {"dnn": [{"optimizer": "sgd", "momentum": 0.5}, {"optimizer": "adam"}]}
    make_ledger(tmp_path, variants=TWO, samples=[{"schedule": "cosine"}, {"schedule": "constant"}], own_draws=own, seeds=2, epochs=2)
    results = Results.load(tmp_path, "report")
    info = search_info(results)
    assert info is not None
    assert (info.numeric, info.categories) == (("momentum",), {"schedule": ("cosine", "constant"), "optimizer": ("sgd", "adam")})
    assert info.points["field"].value_counts().to_dict() == {"schedule": 4, "optimizer": 4, "momentum": 2}
    figure = figures.search_figure(results)
    assert {"cosine", "constant", "sgd", "adam", "momentum\n(in 2 trials)"} <= set(texts(figure))
    table = search_table(info)
    momentum = table.columns.index("momentum")
    assert sorted(row[momentum] for row in table.rows) == ["", "", "", "0.5"]


def test_listed_numbers_have_a_tick_each_and_drawn_ones_round_ticks(tmp_path: Path) -> None:
    search = {"batch_size": {"choice": [24, 50]}, "epochs": {"grid_search": [2, 3]}, "dropout": {"uniform": [0.0, 0.5]}}
    samples = [{"batch_size": size, "epochs": 2 + step, "dropout": 0.123 + step / 7} for size in (24, 50) for step in (0, 1)]
    make_ledger(tmp_path, variants=TWO, samples=samples, search=search, seeds=1, epochs=2)
    info = search_info(Results.load(tmp_path, "report"))
    assert info is not None
    assert info.listed == {"batch_size": (24, 50), "epochs": (2, 3)}
    assert info.tried == {"batch_size": 2, "epochs": 2, "dropout": 2}
    ticks = {axes.get_xlabel(): [label.get_text() for label in axes.get_xticklabels()] for axes in draw_search(info).axes}
    assert ticks["batch_size"] == ["24", "50"]
    assert ticks["epochs"] == ["2", "3"]
    assert len(ticks["dropout"]) > 2
    assert "The search tried 8 samples of 2 variants" in search_sentences(info)[0]


def test_a_tick_whose_name_would_run_into_another_has_none(tmp_path: Path) -> None:
    values = (1, 2, 100)
    make_ledger(tmp_path, variants=ONE, samples=[{"epochs": one} for one in values], search={"epochs": {"choice": list(values)}}, seeds=1)
    info = search_info(Results.load(tmp_path, "report"))
    assert info is not None
    (axes, *_) = draw_search(replace(info, logarithmic={"epochs": False})).axes
    assert list(axes.get_xticks()) == [1, 2, 100]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "", "100"]


def test_votes_tell_images_apart_by_what_most_people_saw(tmp_path: Path) -> None:
    make_ledger(tmp_path, votes=True, seeds=2, epochs=2, variants=TWO)
    results = Results.load(tmp_path, "report")
    info, votes, labels = votes_info(results), results.votes("test"), results.labels("test")
    assert info is not None
    assert votes is not None
    assert labels is not None
    assert info.unvoted == int((votes.sum(axis=1) == 0).sum()) == 8
    assert sum(info.images.values()) + info.unvoted == labels.size
    places = np.arange(labels.size)
    disagree = (votes[places, labels] == 3).sum()
    assert (info.images["disagree"], info.images["open"]) == (disagree, (votes[places, labels] == 5).sum())
    assert sum(one.agreement.n for one in info.classes) == info.decided
    probabilities = [results.probabilities(str(key), "test") for key in results.trials.query("variant == 'cnn'")["key"]]
    members = votes[places, labels] == 3
    expected = 100 * np.mean([(own.argmax(axis=1) == labels)[members].mean() for own in probabilities if own is not None])
    assert info.variants[0].accuracy["disagree"].mean == pytest.approx(expected)
    assert figures.votes_figure(results).axes


def test_the_same_results_give_the_same_bytes(searched: Results) -> None:
    first, second = (figures.render("models", lambda: draw_models(models_info(searched))) for _ in range(2))
    assert first == second
    assert first.png.startswith(b"\x89PNG")
    assert first.pdf.startswith(b"%PDF")


def test_long_names_are_broken_where_words_end() -> None:
    assert shortened("no augmentation, input scaling", 18) == "no augmentation,\ninput scaling"
    assert shortened("short") == "short"
    assert "".join(shortened("x" * 60, 25).split("\n")) == "x" * 60
