from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ledger_fixture import make_ledger
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from scipy import stats

from ferray.analysis.claims import as_json
from ferray.analysis.details import each_once
from ferray.analysis.effects import effect_claims
from ferray.analysis.page import Page
from ferray.analysis.results import Results
from ferray.analysis.sections import compose
from ferray.analysis.tuned import Retuned, TunedInfo, tuned_info
from ferray.analysis.tuned_claims import tuned_claims
from ferray.analysis.tuned_figures import draw_best_of, draw_retuned
from ferray.analysis.tuned_section import retuned_sentences, retuned_table, search_sentences, tuning

Variants = dict[str, tuple[dict[str, Any], list[str]]]
Fates = dict[tuple[str, int, int], str]

VARIANTS: Variants = {
    "all": ({}, []),
    "no-augmentation": ({"augmentation.rotation": 0.0, "augmentation.horizontal_flip": 0.0}, ["augmentation"]),
    "no-batch_norm": ({"batch_norm": False}, ["batch_norm"]),
    "dnn": ({"model": "dnn"}, []),
}
CHOSEN = {"all": 0, "no-augmentation": 1, "no-batch_norm": 2, "dnn": 0}
SEEDS = 5
TUNING_SEED = SEEDS  # beyond those of the comparison


def planted(variant: str, sample: int) -> float:
    """Augmentation can be replaced by the settings of sample 1, batch norm by nothing; the dnn is bad and best where the baseline is."""
    spread = 0.015 * ((7 * sample) % 11)
    match variant:
        case "all":
            return 0.7 - spread
        case "no-augmentation":
            return 0.7 if sample == 1 else 0.55 - spread
        case "no-batch_norm":
            return 0.5 if sample == 2 else 0.49 - spread
    return 0.4 - spread


def tuned_ledger(
    path: Path,
    *,
    draws: int = 6,
    fates: Fates | None = None,
    stopped: bool = False,
    quality: Callable[[str, int], float] = planted,
    **given: Any,
) -> Results:
    """A tuned study: every draw on one seed, then each variant at its own best draw and at the baseline's on others.

    ``fates`` says by variant, sample and seed what else than finished a trial is; ``stopped`` stops two thirds of the draws early.
    """
    samples = [{"dropout": round(0.01 * (1 + number), 3)} for number in range(draws)]
    settings = {"seeds": SEEDS + 1, "images": 160, "epochs": 4, "shape": (1, 8, 8), **given}
    made = make_ledger(path, variants=VARIANTS, samples=samples, quality_of=quality, **settings)
    plan = []
    for variant, sample in itertools.product(VARIANTS, range(draws)):
        key = made.keys[variant, sample, TUNING_SEED]
        plan.append(
            {"key": key, "variant": variant, "sample": sample, "seed": TUNING_SEED, "overrides": samples[sample], "phase": "tuning"}
        )
    for variant, seed in itertools.product(VARIANTS, range(SEEDS)):
        for phase, sample in (("final", CHOSEN[variant]), ("frozen", CHOSEN["all"])):
            key = made.keys[variant, sample, seed]
            plan.append({"key": key, "variant": variant, "sample": sample, "seed": seed, "overrides": samples[sample], "phase": phase})
    ended = dict(fates or {})
    if stopped:
        ended |= {(variant, sample, TUNING_SEED): "stopped" for variant in VARIANTS for sample in range(draws) if sample > 2 and sample % 3}
    for place, fate in ended.items():
        _end(path / "trials" / made.keys[place], fate)
    file = path / "studies" / "report" / "study.json"
    document = json.loads(file.read_text())
    document["plan"] = plan
    document["tuning"] = {"seeds": [TUNING_SEED], "scheduler": "asha" if stopped else "none", "chosen": CHOSEN}
    file.write_text(json.dumps(document))
    return Results.load(path, "report")


def _end(folder: Path, fate: str) -> None:
    """Lets a finished trial have ended otherwise: with half its epochs and without predictions."""
    record = json.loads((folder / "record.json").read_text())
    rows = (folder / "epochs.jsonl").read_text().splitlines()[: record["epochs"] // 2]
    (folder / "epochs.jsonl").write_text("".join(f"{row}\n" for row in rows))
    ended = {"status": fate, "epochs": len(rows), "selected_epoch": None}
    if fate == "stopped":
        ended["stopped"] = {"scheduler": "asha", "epoch": len(rows), "reason": "among the worse at its rung"}
    (folder / "record.json").write_text(json.dumps({**record, **ended}))
    (folder / "predictions.npz").unlink()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return tuned_ledger(tmp_path_factory.mktemp("tuned"), images=600)


def info_of(results: Results) -> TunedInfo:
    info = tuned_info(results)
    assert info is not None
    return info


def by_name(info: TunedInfo) -> dict[str, Retuned]:
    return {one.variant: one for one in info.retuned}


def test_the_frozen_and_the_retuned_difference_are_those_of_the_fresh_seeds(results: Results) -> None:
    trials = results.trials[results.trials["phase"] != "tuning"]
    one = by_name(info_of(results))["no-augmentation"]
    for phase, found in (("frozen", one.frozen), ("final", one.final)):
        own = trials[(trials["variant"] == "no-augmentation") & (trials["phase"] == phase)].sort_values("seed")["test_accuracy"]
        base = trials[(trials["variant"] == "all") & (trials["phase"] == "final")].sort_values("seed")["test_accuracy"]
        assert found is not None
        assert found.points == pytest.approx(100 * (base.to_numpy(float) - own.to_numpy(float)))
        tested = stats.ttest_rel(base.to_numpy(float), own.to_numpy(float))
        assert (found.seeds.mean, found.seeds.p) == pytest.approx((100 * (base.mean() - own.mean()), tested.pvalue))
    assert one.change is not None
    assert one.final is not None
    assert one.frozen is not None
    assert one.change.points == pytest.approx(np.subtract(one.final.points, one.frozen.points))
    assert one.seeds == tuple(range(SEEDS))


def test_a_factor_that_other_settings_replace_is_told_as_a_disagreement(results: Results) -> None:
    info = info_of(results)
    augmentation, norm = by_name(info)["no-augmentation"], by_name(info)["no-batch_norm"]
    assert augmentation.decisions is not None
    assert augmentation.decisions["frozen"].verdict == "helps"
    assert augmentation.decisions["change"].verdict == "hurts"
    assert augmentation.is_changed
    told = dict(zip(by_name(info), retuned_sentences(info), strict=True))
    assert told["no-augmentation"].startswith("Augmentation (no-augmentation): frozen +")
    assert told["no-augmentation"].endswith("the two disagree.")
    assert norm.decisions is not None
    assert {norm.decisions["frozen"].verdict, norm.decisions["final"].verdict} == {"helps"}
    assert not told["no-batch_norm"].endswith("the two disagree.")


def test_a_variant_that_is_best_at_the_baselines_settings_cannot_change(results: Results) -> None:
    info = info_of(results)
    dnn = by_name(info)["dnn"]
    assert dnn.same
    assert dnn.change is not None
    assert dnn.change.points == (0.0,) * SEEDS
    assert not dnn.is_changed
    assert "re-tuned it is the same" in retuned_sentences(info)[-1]


def _like_the_baseline(path: Path, *, sample: int, seeds: int) -> Results:
    """The same study after a sample of no-augmentation has answered every image as the baseline's chosen sample did."""
    results = Results.load(path, "report")
    trials = each_once(results).query("phase != 'tuning'").set_index(["variant", "sample", "seed"])
    for seed in range(seeds):
        own, base = (trials.loc[place, "key"] for place in (("no-augmentation", sample, seed), ("all", 0, seed)))
        shutil.copy(path / "trials" / str(base) / "predictions.npz", path / "trials" / str(own) / "predictions.npz")
    return Results.load(path, "report")


def test_a_difference_without_any_spread_has_no_verdict_in_words_table_and_claim(tmp_path: Path) -> None:
    tuned_ledger(tmp_path)
    results = _like_the_baseline(tmp_path, sample=0, seeds=SEEDS)
    info = info_of(results)
    one = by_name(info)["no-augmentation"]
    assert one.frozen is not None
    assert one.frozen.both.is_point
    assert one.frozen.points == (0.0,) * SEEDS
    assert not one.verdicts_differ
    claim = next(claim for claim in tuned_claims(results) if claim.name == "tuned/frozen/no-augmentation/test/accuracy")
    assert (claim.verdict, as_json("report", [claim])["claims"][0]["p_adjusted"]) == (None, None)
    assert claim.caveats == ("All 5 seeds and all images show the same, so that there is no spread to judge it by, and no verdict.",)
    assert "inconclusive" not in claim.sentence
    assert retuned_sentences(info)[0].startswith("Augmentation (no-augmentation): frozen 0.0 points [0.0, 0.0] (no verdict), re-tuned ")
    assert retuned_table(info).rows[0][:4] == ("augmentation", "0.0", "0.0 (all equal)", "no verdict")


def test_a_change_without_any_spread_is_said_to_have_none(tmp_path: Path) -> None:
    tuned_ledger(tmp_path)
    for sample in (0, CHOSEN["no-augmentation"]):
        results = _like_the_baseline(tmp_path, sample=sample, seeds=SEEDS)
    info = info_of(results)
    told = retuned_sentences(info)[0]
    assert told.endswith("the change is 0.0 [0.0, 0.0], the same for all seeds and images, so that there is no spread to judge it by.")
    assert "n/a" not in told
    words = [text.get_text() for text in draw_retuned(info).findobj(Text) if isinstance(text, Text)]
    assert (words.count("all the same"), words.count("the same settings")) == (3, 1)


def test_one_seed_has_no_verdict_in_words_table_and_claim(tmp_path: Path) -> None:
    results = tuned_ledger(tmp_path, fates={("all", 0, seed): "failed" for seed in range(1, SEEDS)})
    info = info_of(results)
    assert all(len(one.seeds) == 1 for one in info.retuned)
    assert all(claim.verdict is None for claim in tuned_claims(results))
    told = [*retuned_sentences(info), *(claim.sentence for claim in tuned_claims(results) if claim.kind == "tuned")]
    assert not any(word in sentence for sentence in told for word in ("inconclusive", "helps", "hurts", "n/a"))
    assert {row[3] for row in retuned_table(info).rows} == {""}


def test_a_free_variant_is_told_as_how_much_better_it_is_than_the_baseline(results: Results) -> None:
    dnn = by_name(info_of(results))["dnn"]
    assert dnn.final is not None
    assert dnn.final.both.mean < 0
    claim = next(one for one in tuned_claims(results) if one.name == "tuned/final/dnn/test/accuracy")
    assert (claim.compared, claim.verdict) == (("dnn", "all"), "hurts")


def test_seeds_that_did_not_finish_on_all_sides_are_left_out_and_told(tmp_path: Path) -> None:
    fates: Fates = {("no-augmentation", 1, 2): "diverged", ("no-augmentation", 0, 4): "failed"}
    results = tuned_ledger(tmp_path, fates=fates)
    one = by_name(info_of(results))["no-augmentation"]
    assert one.seeds == (0, 1, 3)
    assert one.lost == (("final", 2, "diverged"), ("frozen", 4, "failed"))
    claim = next(one for one in tuned_claims(results) if one.name == "tuned/change/no-augmentation/test/accuracy")
    assert (claim.counts["planned"], claim.counts["paired"], claim.counts["diverged"], claim.counts["failed"]) == (5, 3, 1, 1)
    assert claim.caveats == ("2 seeds of 5 left out: seed 2 (no-augmentation re-tuned diverged), seed 4 (no-augmentation frozen failed).",)


def test_every_difference_is_a_claim_with_a_verdict_on_the_split_that_is_told_first(results: Results) -> None:
    claims = tuned_claims(results)
    assert len({claim.name for claim in claims}) == len(claims) == 2 * 3 * 3 + 3
    assert {claim.split for claim in claims if claim.verdict} == {"test"}
    assert all(claim.verdict is None for claim in claims if claim.name.startswith("tuned/change/dnn"))
    json.dumps(as_json("report", claims), allow_nan=False)


def test_a_retuned_difference_has_one_verdict_and_one_p_value_on_the_page(results: Results) -> None:
    finals = [claim for claim in tuned_claims(results) if claim.name.startswith("tuned/final/") and claim.split == "test"]
    retuned = {claim.compared: claim for claim in finals}
    told = [claim for claim in effect_claims(results) if claim.metric == "accuracy" and claim.split == "test"]
    assert len(told) == 3
    for claim in told:
        other = retuned[claim.compared]
        assert (claim.verdict, claim.seeds_needed) == (other.verdict, other.seeds_needed)
        assert (claim.p_adjusted, claim.p_equivalence) == pytest.approx((other.p_adjusted, other.p_equivalence))


def test_the_summary_tells_that_other_seeds_chose_and_what_tuning_changes(results: Results) -> None:
    _, _, context = compose(results)
    summary = " ".join(context["summary"])
    assert "trained again on other seeds, which the numbers are of" in summary
    assert "Augmentation, re-tuned minus frozen: less once re-tuned" in summary
    assert "Batch norm, re-tuned minus frozen" not in summary


def test_whose_best_draw_is_better_is_a_claim_of_the_trials_of_tuning(results: Results) -> None:
    orders = [claim for claim in tuned_claims(results) if claim.kind == "search order"]
    assert [claim.subject for claim in orders] == ["no-augmentation", "no-batch_norm", "dnn"]
    tuning_keys = set(results.trials.loc[results.trials["phase"] == "tuning", "key"])
    for claim in orders:
        estimate = claim.estimates["draws"]
        assert estimate.low <= estimate.mean <= estimate.high
        assert set(claim.keys) < tuning_keys
    assert orders[-1].estimates["draws"].high < 0  # the dnn is worse


def test_searches_are_judged_on_validation_by_the_trials_of_tuning_alone(results: Results) -> None:
    base = info_of(results).searches[0]
    tuning_trials = results.trials[(results.trials["phase"] == "tuning") & (results.trials["variant"] == "all")]
    expected = dict(zip(tuning_trials["sample"], 100 * tuning_trials["validation_accuracy"], strict=True))
    assert base.variant == "all"
    assert base.draws.low == pytest.approx(expected)
    assert base.draws.high == base.draws.low
    assert base.curve is not None
    assert base.curve.mean[0] == pytest.approx(np.mean(list(expected.values())))
    assert base.curve.mean[-1] == pytest.approx(max(expected.values()))


def test_a_stopped_draw_counts_with_what_it_had_reached_and_at_most_with_the_best_in_full(tmp_path: Path) -> None:
    info = info_of(tuned_ledger(tmp_path, draws=9, stopped=True))
    base = info.searches[0]
    assert base.counts == {"finished": 5, "stopped": 4, "diverged": 0, "left out": 0}
    in_full = [value for number, value in base.draws.low.items() if base.draws.high[number] == value]
    assert {base.draws.high[number] for number in (4, 5, 7, 8)} == {max(in_full)}
    assert base.curve is not None
    assert (base.curve.at_most >= base.curve.mean).all()
    assert base.curve.at_most[0] > base.curve.mean[0]
    assert "16 draws were stopped early (asha)" in " ".join(search_sentences(info))


def test_a_diverged_draw_is_worth_the_largest_class_and_one_that_failed_is_left_out(tmp_path: Path) -> None:
    fates: Fates = {("all", 3, TUNING_SEED): "diverged", ("all", 4, TUNING_SEED): "failed"}
    info = info_of(tuned_ledger(tmp_path, fates=fates))
    base = info.searches[0]
    assert base.counts == {"finished": 4, "stopped": 0, "diverged": 1, "left out": 1}
    assert base.draws.low[3] == info.majority
    assert 4 not in base.draws.low
    told = " ".join(search_sentences(info))
    assert "1 draw diverged, and counts as always answering the largest class" in told
    assert "1 draw was left out" in told


def test_a_search_that_is_far_better_is_clearly_ahead_from_some_budget_on(results: Results) -> None:
    dnn = info_of(results).searches[-1]
    assert dnn.variant == "dnn"
    assert dnn.order is not None
    assert dnn.order.leads
    assert dnn.order.clear_from == 1
    assert dnn.order.draws == 6


def test_while_tuning_runs_the_section_says_that_there_is_nothing_to_compare(tmp_path: Path) -> None:
    tuned_ledger(tmp_path)
    file = tmp_path / "studies" / "report" / "study.json"
    document = json.loads(file.read_text())
    document["plan"] = [entry for entry in document["plan"] if entry["phase"] == "tuning"]
    document["tuning"]["chosen"] = None
    file.write_text(json.dumps(document))
    page = Page()
    assert {claim.kind for claim in tuning(page, Results.load(tmp_path, "report"))} == {"search order"}
    assert "No seed has finished on all sides yet." in page.sections[0].blocks[0].text
    assert [drawing.name for drawing in page.drawings] == ["best_of_n"]


def test_a_study_without_tuning_has_no_section(tmp_path: Path) -> None:
    make_ledger(tmp_path, seeds=1, epochs=2, images=40, shape=(1, 8, 8))
    page = Page()
    assert tuning(page, Results.load(tmp_path, "report")) == []
    assert page.sections == []


def test_the_section_has_its_figures_and_tables(results: Results) -> None:
    page = Page()
    claims = tuning(page, results)
    assert as_json("report", claims) == as_json("report", tuned_claims(results))
    assert [drawing.name for drawing in page.drawings] == ["retuned", "best_of_n"]
    assert [(table.name, len(table.rows)) for table in page.tables] == [("retuned", 3), ("searches", 4)]
    info = info_of(results)
    labels = {text.get_text() for text in draw_retuned(info).findobj(Text) if isinstance(text, Text)}
    assert {"augmentation", "batch norm", "dnn"} <= labels
    assert "the same settings" in labels
    assert len(draw_best_of(info).axes) == 3


def _legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_legend_of_the_curves_names_every_mark_that_there_is(results: Results, tmp_path: Path) -> None:
    assert _legend(draw_best_of(info_of(results))) == ["all", "the variant named above", "95 % interval", "without interval"]
    stopped = info_of(tuned_ledger(tmp_path, draws=9, stopped=True))
    assert _legend(draw_best_of(stopped))[-1] == "at most"


def test_an_interval_of_a_single_n_is_a_bar_that_can_be_seen(tmp_path: Path) -> None:
    info = info_of(tuned_ledger(tmp_path, draws=5))
    figure = draw_best_of(info)
    for axes, search in zip(figure.axes, info.searches[1:], strict=True):
        for bar, one in zip(axes.patches, (info.searches[0], search), strict=True):
            assert isinstance(bar, Rectangle)
            assert one.curve is not None
            assert (bar.get_y(), bar.get_y() + bar.get_height()) == pytest.approx((one.curve.low[0], one.curve.high[0]))
            assert bar.get_width() > 0
            assert axes.get_ylim()[0] < bar.get_y()
    assert [handle.get_linestyle() for handle in figure.legends[0].get_lines()] == ["None", "None", ":"]
