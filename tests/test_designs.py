"""Designs: variants from factors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from studies import tiny

from ferray import Results, Study
from ferray.config import Augmentation, Config, merge, overlay
from ferray.data import load
from ferray.data_source import DataSource
from ferray.designs import Ablation, Variant, variants
from ferray.errors import ConfigError
from ferray.factors import FACTORS
from ferray.fraction import GENERATORS
from ferray.ledger import Ledger

BASE = {
    "augmentation": {"rotation": 30.0, "horizontal_flip": 0.5},
    "l1": 1e-5,
    "l2": 1e-5,
    "label_smoothing": 0.1,
    "schedule": "cosine",
}
FOUR = ["augmentation", "input_scaling", "batch_norm", "dropout"]


def designed(design: str, remove: list[Any], base: dict[str, Any] | None = None, **more: Any) -> list[Variant]:
    study = Study(name="x", base=BASE if base is None else base, ablate={"design": design, "remove": remove, **more})
    return study.all_variants()[1:]


def path(base: dict[str, Any], remove: list[Any], own: dict[str, Any] | None = None) -> list[Variant]:
    return variants(base, Ablation(remove=remove, factors=own or {}))


def refusal(design: str, remove: list[Any], base: dict[str, Any] | None = None, **more: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        designed(design, remove, base, **more)
    return str(raised.value)


def test_a_path_takes_factors_away_one_on_top_of_the_other() -> None:
    variants = path(BASE, ["augmentation", "normalization"])
    assert [variant.name for variant in variants] == ["no-augmentation", "no-augmentation-normalization"]
    assert [variant.removed for variant in variants] == [("augmentation",), ("augmentation", "normalization")]
    first, second = (Config.parse(merge(BASE, variant.overrides)) for variant in variants)
    assert first.augmentation == Augmentation()
    assert (first.input_normalization, first.batch_norm) == ("scale", True)
    assert second.augmentation == Augmentation()
    assert (second.input_normalization, second.batch_norm) == ("none", False)


def test_factors_in_a_list_go_together() -> None:
    (variant,) = path(BASE, [["l1", "l2"]])
    assert (variant.name, variant.removed) == ("no-l1+l2", ("l1+l2",))
    assert variant.overrides == {"l1": 0.0, "l2": 0.0}


HAVING: dict[str, dict[str, Any]] = {
    "weight_decay": {"optimizer": "adamw", "weight_decay": 0.01},
    "momentum": {"optimizer": "sgd"},
    "soft_labels": {"soft_labels": True},
    "loss": {"loss": "torch.nn:MultiMarginLoss", "loss_arguments": {"margin": 0.5}, "label_smoothing": 0.0},
    "transform": {"transform": "./mine.py:make", "transform_arguments": {"p": 0.5}},
    "pretrained": {"pretrained": "weights.safetensors"},
}


@pytest.mark.parametrize("factor", FACTORS)
def test_every_factor_changes_the_config_and_only_what_it_names(factor: str) -> None:
    base = merge({**BASE, **HAVING.get(factor, {})}, {f"augmentation.{name}": 0.1 for name in Augmentation.model_fields})
    (variant,) = path(base, [factor])
    before, after = Config.parse(base).flat(), Config.parse(overlay(base, variant.overrides)).flat()
    changed = {name for name in {**before, **after} if before.get(name) != after.get(name)}
    assert changed
    assert {name for name in changed if not name.startswith(f"{factor}_arguments")} <= set(FACTORS[factor])


def test_an_unknown_factor_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'augmentation'"):
        path(BASE, ["augmentaton"])


def test_a_factor_that_the_base_does_not_have_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"has no augmentation\.zoom to take away"):
        path(BASE, ["augmentation.zoom"])
    with pytest.raises(ConfigError, match="has no batch_norm"):
        path({"model": "dnn"}, ["batch_norm"])


@pytest.mark.parametrize("remove", [["l1", "l1"], [["l1", "l1"]], ["l1", ["l2", "l1"]], ["augmentation", "augmentation.rotation"]])
def test_a_factor_that_an_earlier_step_has_taken_away_is_refused(remove: list[str | list[str]]) -> None:
    with pytest.raises(ConfigError, match=r"the base without (l1|augmentation).* has no (l1|augmentation\.rotation) to take away"):
        path(BASE, remove)


def test_a_factor_of_which_something_is_left_can_be_taken_away() -> None:
    last = path(BASE, ["batch_norm", "normalization", "augmentation.rotation", "augmentation"])[-1]
    assert Config.parse(merge(BASE, last.overrides)).augmentation == Augmentation()


def test_a_step_of_no_factors_is_refused() -> None:
    told = refusal("path", ["l1", []])
    assert "must be a list of factors, and of lists of those that go together, as in [l1, [dropout, batch_norm]], not ['l1', []]" in told


def test_what_has_gone_with_a_network_is_not_taken_away_from_the_next_one() -> None:
    last = path({"dropout": 0.5}, ["dropout", "network"], {"network": {"model": "torchvision:resnet18"}})[-1]
    assert last.overrides == {"model": "torchvision:resnet18"}


NETWORK = {"model": "torchvision:resnet18", "model_arguments": {"attention": True, "depth": 3}, "l1": 0.1}
OWN = {"attention": {"model_arguments.attention": False}, "network": {"model": "cnn"}}


def test_factors_of_the_users_own_stand_beside_those_of_ferray() -> None:
    first, second = path(NETWORK, ["attention", "l1"], {"attention": OWN["attention"]})
    assert (first.name, second.name) == ("no-attention", "no-attention-l1")
    config = Config.parse(overlay(NETWORK, second.overrides))
    assert (config.model_arguments, config.l1) == ({"attention": False, "depth": 3}, 0.0)
    (network,) = path(NETWORK, ["network"], {"network": OWN["network"]})
    assert Config.parse(overlay(NETWORK, network.overrides)).model_arguments == {}


@pytest.mark.parametrize(
    ("remove", "own", "message"),
    [
        (["attenton"], OWN, "unknown factor 'attenton'; did you mean 'attention'"),
        (
            ["attention", "attention"],
            {"attention": OWN["attention"]},
            "the base without attention has no attention to take away; it is named twice",
        ),
        (
            ["network", "attention"],
            OWN,
            "attention cannot be taken away from the base without network: model_arguments have no effect with",
        ),
        (
            ["batch", "l1"],
            {"batch": {"epochs": 30, "l1": 0.1}},
            "ablate.factors.batch: takes nothing away: the base has epochs 30, l1 0.1 already",
        ),
        (["attention"], OWN, "ablate.factors.network: is never taken away: name it in `remove`, or in a group that stands there"),
        (["both"], {**OWN, "both": ["attention", "network"], "l": ["l1"]}, "ablate.factors.l: is never taken away: name it in `remove`"),
        (["l1"], {"l1": {"l2": 0.0}}, "ablate.factors.l1: ferray has a factor of this name"),
        (["l1"], {"x": {"epohcs": 3}}, "ablate.factors.x.epohcs: unknown key; did you mean 'epochs'"),
        (["l1"], {"x": {"epochs": 0}}, "ablate.factors.x.epochs: must be at least 1, not 0"),
        (["batch_norm"], {}, "batch_norm cannot be taken away from the base: batch_norm has no effect with model 'torchvision:resnet18'"),
    ],
)  # fmt: skip
def test_a_factor_of_the_users_own_that_is_none_is_refused(remove: list[str], own: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        path({**NETWORK, "epochs": 30}, remove, own)
    assert message in str(raised.value)


def test_leave_one_out_takes_each_factor_away_by_itself() -> None:
    found = designed("leave_one_out", ["augmentation", "l1", ["l2", "dropout"]])
    assert [variant.name for variant in found] == ["no-augmentation", "no-l1", "no-l2+dropout"]
    assert [variant.removed for variant in found] == [("augmentation",), ("l1",), ("l2+dropout",)]
    assert found[1].overrides == {"l1": 0.0}


def test_leave_one_out_may_have_a_factor_and_its_parts() -> None:
    remove = ["augmentation", "augmentation.rotation", "augmentation.horizontal_flip", "normalization", "batch_norm"]
    assert len(designed("leave_one_out", remove)) == 5


def test_add_one_in_takes_everything_away_and_everything_but_one() -> None:
    none, augmented, l1 = designed("add_one_in", ["augmentation", "l1"])
    assert [variant.name for variant in (none, augmented, l1)] == ["none", "only-augmentation", "only-l1"]
    assert [variant.removed for variant in (none, augmented, l1)] == [("augmentation", "l1"), ("l1",), ("augmentation",)]
    left = [Config.parse(overlay(BASE, variant.overrides)) for variant in (none, augmented, l1)]
    assert [(one.augmentation.rotation, one.l1) for one in left] == [(0.0, 0.0), (30.0, 0.0), (0.0, 1e-5)]


def test_a_factorial_has_every_combination_once_and_each_is_what_it_says() -> None:
    found = designed("factorial", FOUR)
    assert len(found) == len({variant.removed for variant in found}) == 2**4 - 1
    assert found[4].name == "no-augmentation-input_scaling"
    for variant in found:
        config = Config.parse(overlay(BASE, variant.overrides))
        there = [bool(config.augmentation.rotation), config.input_normalization == "scale", config.batch_norm, bool(config.dropout)]
        assert [name for name, is_there in zip(FOUR, there, strict=True) if not is_there] == list(variant.removed)


def test_a_named_group_goes_together_under_its_name_and_the_report_hears_of_its_parts() -> None:
    ablation = Ablation(design="leave_one_out", remove=["augmentation", "penalties"], factors={"penalties": ["l1", "l2"]})
    found = variants(BASE, ablation)
    assert (found[1].name, found[1].removed, found[1].overrides) == ("no-penalties", ("penalties",), {"l1": 0.0, "l2": 0.0})
    assert ablation.describe() == {
        "design": "leave_one_out",
        "factors": ["augmentation", "penalties"],
        "groups": {"penalties": ["l1", "l2"]},
    }


def test_a_group_may_hold_factors_of_the_users_own() -> None:
    own = {"attention": {"model_arguments.attention": False}, "both": ["attention", "l1"]}
    base = {"model": "./mine.py:make", "model_arguments": {"attention": True, "depth": 3}, "l1": 0.1}
    (variant,) = designed("leave_one_out", ["both"], base, factors=own)
    assert variant.overrides == {"model_arguments": {"attention": False}, "l1": 0.0}


def test_the_network_itself_and_its_arguments_are_factors() -> None:
    own = {"network": {"model": "dnn"}, "depth": {"model_arguments.depth": 1}}
    assert designed("leave_one_out", ["network"], factors={"network": own["network"]})[0].overrides == {"model": "dnn"}
    base = {"model": "./mine.py:make", "model_arguments": {"depth": 3}, "l1": 0.1}
    found = designed("factorial", ["depth", "l1"], base, factors={"depth": own["depth"]})
    assert found[2].overrides == {"model_arguments": {"depth": 1}, "l1": 0.0}


@pytest.mark.parametrize("design", ["path", "leave_one_out", "add_one_in", "factorial"])
def test_no_design_takes_away_what_the_base_does_not_have(design: str) -> None:
    assert "the base has no augmentation.zoom to take away" in refusal(design, ["augmentation.zoom", "l1"])
    told = refusal(design, ["penalties", "dropout"], {"l1": 0.1}, factors={"penalties": ["l1", "l2"]})
    assert "the base without l1 has no l2 to take away" in told


@pytest.mark.parametrize("design", ["add_one_in", "factorial"])
@pytest.mark.parametrize(
    ("remove", "field"),
    [(["normalization", "batch_norm"], "batch_norm"), (["augmentation.rotation", "augmentation"], "augmentation.rotation"),
     (["l1", ["l2", "l1"]], "l1")],
)  # fmt: skip
def test_designs_that_cross_factors_refuse_two_that_set_the_same(design: str, remove: list[Any], field: str) -> None:
    first, second = (one if isinstance(one, str) else "+".join(one) for one in remove)
    assert f"{first} and {second} both set {field}, so that neither is there without the other" in refusal(design, remove)


@pytest.mark.parametrize("more", [{"design": "add_one_in"}, {"design": "factorial"}, {"design": "fractional", "resolution": 3}])
@pytest.mark.parametrize("remove", [["dropout", "network", "l1"], ["l1", "network", "dropout"]])
def test_a_factor_that_goes_with_another_one_is_refused_where_factors_are_crossed_whatever_their_order(
    remove: list[str], more: dict[str, Any]
) -> None:
    told = refusal(remove=remove, factors={"network": {"model": "dnn"}}, **more)
    assert "the base without network has no dropout to take away" in told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"design": "leave_one_out", "remove": ["l1", "l1"]}, "ablate.remove: l1 is named twice"),
        ({"design": "add_one_in", "remove": ["l1"]}, "ablate.remove: add_one_in of a single factor has nothing beside the baseline"),
        ({"design": "factorial", "remove": [f"f{n}" for n in range(9)]}, "a factorial of 9 factors has 512 variants; at most 8 (256)"),
        ({"design": "factorial", "remove": ["l1"], "resolution": 3}, "ablate.resolution: belongs to design: fractional, not to factorial"),
        ({"design": "fractional", "remove": FOUR}, "ablate.resolution: is missing: of 4 factors, there is resolution 4 (8 variants)"),
        ({"design": "fractional", "remove": FOUR, "resolution": 6}, "ablate.resolution: must be 3, 4 or 5 (or III, IV or V), not 6"),
        ({"design": "fractional", "remove": FOUR, "resolution": "iv"}, "must be 3, 4 or 5 (or III, IV or V), not 'iv'; did you mean 'IV'?"),
        ({"design": "fractional", "remove": FOUR, "resolution": "V"},
         "no fraction of 4 factors has resolution 5 and is smaller than the full factorial; there is resolution 4 (8 variants); or take "
         "design: factorial (16 variants)"),
        ({"design": "fractional", "remove": ["l1", "l2"], "resolution": 3}, "there is none at all; or take design: factorial (4 variants)"),
        ({"design": "fractional", "remove": [f"f{n}" for n in range(12)], "resolution": 3}, "there are fractions of 3 to 11 factors, not"),
        ({"remove": ["x"], "factors": {"x": ["dropuot"]}}, "ablate.factors.x: unknown factor 'dropuot'; did you mean 'dropout'?"),
        ({"remove": ["x"], "factors": {"x": ["y"], "y": ["l1"]}}, "ablate.factors.x: y is a group itself; name its factors"),
        ({"remove": ["x"], "factors": {"x": []}}, "ablate.factors.x: must be the overrides that take it away, as in {batch_size: 512}, or"),
        ({"remove": ["x"], "factors": {"x": {}}}, "ablate.factors.x: must be the overrides that take it away, as in {batch_size: 512}, or"),
        ({"remove": ["x"], "factors": {"x": "l1"}}, "or a list of factors that go together, as in [l1, l2], not 'l1'"),
        ({"remove": ["l1", "L2"]}, "ablate.remove: unknown factor 'L2'; did you mean 'l2'? (there are: augmentation, "),
        ({"remove": ["learning_rate"]}, "transform, pretrained; others are named in `factors`)"),
        ({"remove": [["l1", "l2"], "l2"]}, "the base without l1, l2 has no l2 to take away; it is named twice"),
        ({"remove": ["augmentation", "augmentation.rotation"]}, "it goes with augmentation: name it before, or leave it out of `remove`"),
        ({"remove": ["l1", "weight_decay"]}, "the base without l1 has no weight_decay to take away; switch it on in `base`, or leave it"),
        ({"remove": {"l1": 0}}, "ablate.remove: must be a list of factors, and of lists of those that go together, as in"),
        ({"remove": ["x"], "factors": {"l1": ["l2"]}}, "ablate.factors.l1: ferray has a factor of this name"),
    ],
)  # fmt: skip
def test_a_design_that_cannot_be_is_refused_with_what_there_is(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Study(name="x", base=BASE, ablate=changes)
    assert message in str(raised.value)


def test_a_fraction_is_part_of_the_factorial_with_the_same_names() -> None:
    full = {variant.name: variant for variant in designed("factorial", FOUR)}
    fraction = designed("fractional", FOUR, resolution="IV")
    assert len(fraction) == 7
    assert all(full[variant.name] == variant for variant in fraction)


@pytest.mark.parametrize("resolution", [4, "IV"])
def test_a_fraction_describes_its_generators_and_aliases(resolution: int | str) -> None:
    told = Ablation(design="fractional", remove=["a", "b", "c", ["d", "e"]], resolution=resolution).describe()
    assert told == {
        "design": "fractional", "factors": ["a", "b", "c", "d+e"], "groups": {"d+e": ["d", "e"]}, "resolution": 4,
        "generators": {"d+e": "a:b:c"}, "defining_relation": ["a:b:c:d+e"],
        "aliases": {
            "a": ["b:c:d+e"], "b": ["a:c:d+e"], "c": ["a:b:d+e"], "d+e": ["a:b:c"],
            "a:b": ["c:d+e"], "a:c": ["b:d+e"], "a:d+e": ["b:c"], "b:c": ["a:d+e"], "b:d+e": ["a:c"], "c:d+e": ["a:b"],
        },
    }  # fmt: skip


@pytest.mark.parametrize("number", GENERATORS)
@pytest.mark.parametrize("resolution", [3, 4, 5])
def test_a_fraction_of_every_number_of_factors_is_at_least_as_good_as_named(number: int, resolution: int) -> None:
    try:
        fraction = Ablation(design="fractional", remove=[f"f{one}" for one in range(number)], resolution=resolution).fraction
    except ValueError:
        assert (number, resolution) in {(3, 4), (3, 5), (4, 5)}
        return
    assert fraction
    assert fraction.resolution >= resolution
    assert fraction.size < 2**number


def test_a_design_crosses_with_a_search_and_stands_beside_free_variants() -> None:
    study = Study(
        name="x", base=BASE, variants={"dnn": {"model": "dnn", "dropout": 0.0}}, search={"l1": {"loguniform": [1e-6, 1e-4]}},
        num_samples=3, ablate={"design": "factorial", "remove": ["l1", "augmentation"]},
    )  # fmt: skip
    plan = study.plan(load(DataSource(images=70)))
    samples = {name: [trial for trial in plan if trial.variant == name] for name in ("baseline", "no-l1", "no-augmentation", "dnn")}
    assert {name: len(trials) for name, trials in samples.items()} == {"baseline": 3, "no-l1": 1, "no-augmentation": 3, "dnn": 3}
    assert samples["no-l1"][0].config.l1 == 0.0
    assert [trial.config.l1 for trial in samples["baseline"]] == [trial.config.l1 for trial in samples["no-augmentation"]]


def test_what_is_only_searched_can_be_taken_away() -> None:
    searched = {"l1": {"loguniform": [1e-6, 1e-4]}}
    study = Study(name="x", search=searched, num_samples=2, ablate={"design": "leave_one_out", "remove": ["l1"]})
    plan = study.plan(load(DataSource(images=70)))
    assert [(trial.variant, trial.config.l1 > 0) for trial in plan] == [("baseline", True), ("no-l1", False), ("baseline", True)]
    with pytest.raises(ConfigError, match="the base without l1 has no l1"):
        Study(name="x", search=searched, ablate={"remove": ["l1", "l1"]})


def test_two_variants_with_the_same_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"variants\.mine: 'no-l1' and 'mine' have the same settings, so there is nothing to compare"):
        Study(name="x", base=BASE, variants={"mine": {"l1": 0.0}}, ablate={"design": "leave_one_out", "remove": ["l1"]})


def test_what_only_ferrays_own_networks_have_is_refused_for_another_one_with_the_reason() -> None:
    told = refusal("leave_one_out", ["l1", "batch_norm"], {"model": "./mine.py:make", "l1": 0.1})
    assert "batch_norm cannot be taken away from the base: batch_norm has no effect with model './mine.py:make'" in told


def test_the_ledger_keeps_the_design_and_the_study_can_be_made_again_from_it(tmp_path: Path) -> None:
    ablation = {"design": "fractional", "resolution": "III", "remove": ["l1", "l2", "batch_norm"]}
    study = tiny(data={"images": 70}, base={"width": 0.05, "epochs": 1, "l1": 1e-5, "l2": 1e-5}, ablate=ablation, seeds=1)
    study.run(tmp_path, local=True, say=lambda line: None)
    results = Results.load(tmp_path, "tiny")
    assert results.ablation == Ablation(**ablation).describe()
    assert results.ablation["aliases"]["batch_norm"] == ["l1:l2"]
    assert {name: variant.removed for name, variant in results.variants.items()} == {
        "baseline": (),
        "no-l1-l2": ("l1", "l2"),
        "no-l1-batch_norm": ("l1", "batch_norm"),
        "no-l2-batch_norm": ("l2", "batch_norm"),
    }
    assert Study(**Ledger(tmp_path).study("tiny")["settings"]) == study
