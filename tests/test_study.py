"""Studies: one validated model for the file and for Python, and the plan that it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from studies import tiny

from ferray import Study
from ferray.data import load
from ferray.data_source import DataSource
from ferray.errors import ConfigError

ROOT = Path(__file__).parents[1]
DATA = load(DataSource(images=70))


@pytest.mark.parametrize("file", sorted((ROOT / "search_spaces").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_study_file_of_the_project_is_valid_and_called_like_its_file(file: Path) -> None:
    assert Study.load(file).name == file.stem


def test_the_reference_study_has_its_variants_and_seeds() -> None:
    study = Study.load(ROOT / "search_spaces" / "report.yaml")
    assert [variant.name for variant in study.all_variants()] == ["cnn", "no-augmentation", "no-augmentation-normalization", "dnn"]
    plan = study.plan(DATA)
    assert len({trial.key for trial in plan}) == len(plan) == 20
    configs = {trial.variant: trial.config for trial in plan}
    assert {config.epochs for config in configs.values()} == {50}
    assert (configs["dnn"].model, configs["dnn"].dropout, configs["dnn"].batch_norm) == ("dnn", 0.0, False)
    bare = configs["no-augmentation-normalization"]
    assert (bare.input_normalization, bare.batch_norm) == ("none", False)
    assert configs["dnn"].augmentation == configs["cnn"].augmentation


def test_the_study_of_regularization_takes_each_means_away_by_itself_and_costs_what_it_says() -> None:
    file = ROOT / "search_spaces" / "regularization.yaml"
    study = Study.load(file)
    plan = study.plan(DATA)
    assert len(plan) == 216
    assert [variant.name for variant in study.all_variants()][1:] == ["no-l1", "no-l2", "no-dropout", "no-augmentation", "no-normalization"]
    without = {trial.variant: trial for trial in plan}
    assert (without["no-l1"].config.l1, without["no-l2"].config.l2, without["no-dropout"].config.dropout) == (0.0, 0.0, 0.0)
    assert set(without["no-l1"].overrides) == {"l2", "dropout"}
    first_look = Study.load(file, ["data.subset=4000", "base.epochs=4", "num_samples=2", "seeds=2"])
    assert len(first_look.plan(DATA)) == 24
    assert "216 trainings of 20 epochs" in file.read_text()


def test_the_file_and_python_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text("seeds: 3\nbase: {l1: 1e-4, epochs: 5}\ndata: synthetic\n")
    said = Study(name="tiny", seeds=3, base={"l1": 1e-4, "epochs": 4}, data="synthetic")
    assert Study.load(tmp_path / "tiny.yaml", ["base.epochs=4"]) == said


def test_an_override_reaches_into_the_short_form_of_the_data(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("data: fer2013\n")
    assert Study.load(tmp_path / "x.yaml", ["data.subset=10"]).data == DataSource(source="fer2013", subset=10)


def test_an_override_reaches_into_a_list_of_variants(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("variants:\n  - {name: a, l1: 0.1}\n  - {name: b, l1: 0.2}\n")
    assert Study.load(tmp_path / "x.yaml", ["variants.b.l1=0.3"]).variants == {"a": {"l1": 0.1}, "b": {"l1": 0.3}}


def recursive() -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    mapping["augmentation"] = mapping
    return mapping


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sedes": 3}, "sedes: unknown key; did you mean 'seeds'"),
        ({"name": "../x"}, "name: must be letters, digits and _ . + -"),
        ({"name": ""}, "name"),
        ({"seeds": 0}, "seeds"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 1]}, "each seed once"),
        ({"base": {"epochs": 0}}, "base.epochs: must be at least 1, not 0"),
        ({"base": {"epohcs": 3}}, "base.epohcs: unknown key; did you mean 'epochs'"),
        ({"base": {"seed": 3}}, "seed is set by the study's `seeds`"),
        ({"variants": {"a": {"modle": "dnn"}}}, "variants.a.modle: unknown key; did you mean 'model'"),
        ({"variants": {"baseline": {}}}, "variants.baseline: another variant is called 'baseline' too: the base is called 'baseline'"),
        ({"ablate": {"design": "pth", "remove": ["l1"]}}, "ablate.design"),
        ({"ablate": {"remove": []}}, "ablate.remove"),
        ({"ablate": {"remove": ["l2"]}}, "the base has no l2 to take away"),
        ({"search": {"l1": {"choice": [1e-4, "x"]}}}, "search.l1: must be a number, not 'x'"),
        ({"search": {"epochs": {"uniform": [1, 3]}}}, "epochs"),
        ({"search": {"l3": {"choice": [1]}}}, "l3: unknown key"),
        ({"published": {"cnn": {"test": 0.6}}}, "no variant is called cnn"),
        (
            {"data": "fer2012"},
            "data.source: no such source; did you mean 'fer2013'? (there are auto, synthetic, fer2013, images, and loaders",
        ),
        ({"data": {"source": "x", "path": "y"}}, "data.source: no such source (there are auto, synthetic, fer2013, images"),
        ({"data": {"arguments": {"a": 1}}}, "data: arguments have no effect with source 'auto'"),
        ({"data": {"source": "synthetic", "votes": "v.csv"}}, "data: votes have no effect with source 'synthetic'"),
        ({"data": {"validation_share": 0.5, "test_share": 0.5}}, "data: validation_share and test_share together must leave images"),
        ({"gpus": -1.0}, "gpus"),
        ({"gpus": 1.5}, "gpus: must be a fraction of one GPU, or a whole number of them: fractions of two are not joined, not 1.5"),
        ({"seeds": None}, "seeds: how many (a whole number from 1 to 100,000), or a list of them, and it is empty"),
        ({"seeds": 100_001}, "seeds: how many (a whole number from 1 to 100,000)"),
        ({"seeds": [2**63]}, "seeds: how many"),
        ({"num_samples": 1_000_001}, "num_samples: must be at most 1,000,000"),
        ({"data": {"images": 10**15}}, "data.images: must be at most 10,000,000"),
        ({"data": {"subste": 5}}, "data.subste: unknown key; did you mean 'data.subset'"),
        ({"ablate": {"remvoe": ["l1"]}}, "ablate.remvoe: unknown key; did you mean 'ablate.remove'"),
        ({"published": {"baseline": {"tset": 0.6}}}, "unknown key; did you mean 'published.baseline.test'"),
        ({"ablate": {"remove": ["l1", []]}}, "ablate.remove: must be a list of factors, and of lists of those"),
        ({"ablate": {"remove": ["augmentation", "augmentation.rotation"]}}, "the base without augmentation has no augmentation.rotation"),
        ({"variants": {"again": {"width": 0.05}}}, "variants.again: 'baseline' and 'again' have the same settings"),
        ({"ablate": {"remove": ["l1"]}, "variants": {"none": {"l1": -0.0}}}, "variants.none: 'no-l1' and 'none' have the same settings"),
        ({"variants": {"v1.0": {"device": "cuda"}}}, "device is set by the study's `gpus`"),
        ({"variants": {"a": {"augmentation": {1: 2}}}}, "study 'tiny': variants.a.augmentation: names are text, not 1"),
        ({"search": {"augmentation": {"choice": [{1: 1.0}]}}}, "search.augmentation.choice[0]: names are text, not 1"),
        ({"base": {".".join("a" * 2000): 1}}, "nested more than 50 deep"),
        ({"base": recursive()}, "nested more than 50 deep"),
        ({"self": 1}, "self: unknown key"),
        ({"ablate": {"remove": ["l1"], "seeds": 3}}, "ablate.seeds: unknown key; did you mean 'seeds'? (there are: design, remove, "),
        ({"ablate": ["l1"]}, "ablate: must be a mapping, such as {design: leave_one_out, remove: [dropout, batch_norm]}, not ['l1']"),
        ({"budget": 4}, "budget: must be a mapping, such as {processor_hours: 4}, not 4"),
        ({"smallest_effect": 0.005}, "smallest_effect: is in accuracy points (percent), and no fraction; must be at least 0.01, not 0.005; "
         "did you mean 0.5?"),
        ({"smallest_effect": 1e-6}, "and no fraction; must be at least 0.01, not 1e-06"),
        ({"smallest_effect": 0}, "smallest_effect: must be at least 0.01, not 0"),
        ({"smallest_effect": 150}, "smallest_effect: must be at most 100, not 150"),
        ({"search": {"l1": {"choice": [0.0]}}, "ablate": {"remove": ["l1"]}},
         "ablate.remove: 'baseline' and 'no-l1' have the same settings in every sample, so there is nothing to compare: `search` gives l1 "
         "nothing but what both have"),
        (
            {"variants": [{"name": "a", "l1": 0.1}, {"l1": 0.1}]},
            "variants.2: needs a name, as in {name: dnn, model: dnn}; it is {'l1': 0.1}",
        ),
        ({"variants": [{"name": "a", "l1": 0.1}, {"name": "a"}]}, "variants.2: an earlier one is called 'a' too"),
        ({"variants": [{"name": "a", "augmentation.rotaton": 1}]}, "variants.a.augmentation.rotaton: unknown key; did you mean"),
        ({"variants": {"a": {"modle_arguments": {"x": 1}}}}, "variants.a.modle_arguments: unknown key; did you mean 'model_arguments'"),
        ({"variants": {"a": {"model": ["dnn"]}}}, "variants.a.model: must be text, not ['dnn']"),
        ({"variants": {"a": {"model_arguments.x": 1}}}, "variants.a: model_arguments have no effect with model 'cnn'"),
        ({"ablate": {"remove": ["x"], "factors": {"x": {"seed": 3}}}}, "ablate.factors.x.seed: seed is set by the study's `seeds`"),
        ({"ablate": {"remove": ["l1", 3]}}, "ablate.remove: must be a list of factors"),
        ({"data": ["fer2013"]}, "data: a word such as fer2013, or a mapping"),
        (
            {"search": {"epochs": {"grid_search": list(range(1, 2001))}, "batch_size": {"grid_search": list(range(1, 2001))}}},
            "search: 16,000,000 trials (2 variants x 2000 x 2000 grid points x 2 seeds) are too many to plan; at most 1,000,000",
        ),
        (
            {"seeds": 100_000, "variants": {str(number): {"epochs": number} for number in range(3, 14)}},
            "seeds: 1,300,000 trials (13 variants",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_told_before_anything_runs(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        tiny(**changes)
    assert message in str(raised.value)


def test_a_variant_at_the_mean_of_a_normal_distribution_differs_from_what_is_drawn() -> None:
    study = tiny(search={"augmentation.rotation": {"randn": [10.0, 1.0]}}, variants={"fixed": {"augmentation.rotation": 10.0}})
    assert len({trial.variant for trial in study.plan(DATA)}) == 3
    with pytest.raises(ConfigError, match="'fixed' and 'again' have the same settings"):
        tiny(search=study.search, variants={**study.variants, "again": {"augmentation": {"rotation": 10.0}}})


def test_seeds_are_blocks_shared_by_all_variants() -> None:
    plan = tiny(seeds=[3, 5]).plan(DATA)
    assert [(trial.config.seed, trial.variant) for trial in plan] == [
        (3, "baseline"), (3, "no-augmentation"), (5, "baseline"), (5, "no-augmentation"),
    ]  # fmt: skip


def test_names_are_no_part_of_a_key() -> None:
    first = {trial.key for trial in tiny().plan(DATA)}
    renamed = tiny(name="other", baseline="base", title="x", cpus=2.0).plan(DATA)
    assert {trial.key for trial in renamed} == first


def test_a_larger_study_keeps_the_keys_that_it_had() -> None:
    search = {"l1": {"loguniform": [1e-7, 1e-3]}}
    small = {trial.key for trial in tiny(seeds=2, search=search, num_samples=2).plan(DATA)}
    large = {trial.key for trial in tiny(seeds=3, search=search, num_samples=3, variants={"x": {"width": 0.1}}).plan(DATA)}
    assert small < large
    assert (len(small), len(large)) == (2 * 2 * 2, 3 * 3 * 3)


def test_what_a_variant_lacks_stays_away_whatever_is_searched() -> None:
    plan = tiny(seeds=1, ablate={"remove": ["l1"]}, search={"l1": {"choice": [1e-4]}}).plan(DATA)
    assert [(trial.variant, trial.config.l1, trial.overrides) for trial in plan] == [("baseline", 1e-4, {"l1": 1e-4}), ("no-l1", 0.0, {})]


def test_samples_that_a_variant_does_not_tell_apart_are_one_trial_of_it() -> None:
    search = {"width": {"grid_search": [0.03, 0.04]}, "l1": {"grid_search": [1e-4, 1e-3]}}
    plan = tiny(seeds=2, ablate=None, search=search, variants={"narrow": {"width": 0.02}}).plan(DATA)
    narrow = [trial for trial in plan if trial.variant == "narrow"]
    assert [(trial.config.seed, trial.sample, trial.overrides) for trial in narrow] == [
        (0, 0, {"l1": 1e-4}), (0, 1, {"l1": 1e-3}), (1, 0, {"l1": 1e-4}), (1, 1, {"l1": 1e-3}),
    ]  # fmt: skip
    assert {trial.config.width for trial in narrow} == {0.02}
    assert len(plan) == 2 * (4 + 2)


def test_of_a_searched_group_of_fields_a_variant_takes_those_that_it_does_not_fix() -> None:
    search = {"augmentation": {"grid_search": [{"rotation": 5.0, "zoom": 0.1}, {"rotation": 9.0, "zoom": 0.1}]}}
    plan = tiny(seeds=1, ablate={"remove": ["augmentation.rotation"]}, search=search).plan(DATA)
    assert [(trial.variant, trial.sample, trial.overrides) for trial in plan] == [
        ("baseline", 0, {"augmentation.rotation": 5.0, "augmentation.zoom": 0.1}),
        ("no-augmentation.rotation", 0, {"augmentation.zoom": 0.1}),
        ("baseline", 1, {"augmentation.rotation": 9.0, "augmentation.zoom": 0.1}),
    ]


def test_a_value_that_is_drawn_again_is_no_further_trial() -> None:
    plan = tiny(seeds=1, ablate=None, search={"l1": {"quniform": [0.0, 0.02, 0.01]}}, num_samples=30).plan(DATA)
    assert sorted(trial.config.l1 for trial in plan) == [0.0, 0.01, 0.02]
    assert plan[0].sample == 0


def test_dotted_names_reach_into_the_base() -> None:
    dotted = tiny(base={"augmentation.rotation": 5.0}).plan(DATA)
    assert [trial.key for trial in dotted] == [trial.key for trial in tiny(base={"augmentation": {"rotation": 5.0}}).plan(DATA)]


def test_a_variant_may_be_called_like_a_field_that_the_study_sets() -> None:
    assert tiny(variants={"seed": {"l2": 0.1}}).all_variants()[-1].name == "seed"


def test_other_data_are_other_trials() -> None:
    other = load(DataSource(images=70, seed=1))
    assert not {trial.key for trial in tiny().plan(DATA)} & {trial.key for trial in tiny().plan(other)}


def test_ray_sets_aside_as_many_processors_as_a_trial_has_threads_unless_told() -> None:
    assert tiny().processors == 1
    assert tiny(variants={"fast": {"threads": 2}}).processors == 2
    assert tiny(cpus=0.5).processors == 0.5


def test_gpus_put_the_trials_on_cuda_and_in_its_precision() -> None:
    configs = [trial.config for trial in tiny(gpus=0.5, base={"augmentation": {"rotation": 5}}).plan(DATA)]
    assert {(config.device, config.precision) for config in configs} == {("cuda", "bf16")}


def test_variants_as_a_list_are_those_of_the_mapping() -> None:
    listed = tiny(variants=[{"name": "dnn", "model": "dnn"}, {"name": "turned", "augmentation.rotation": 5.0}])
    assert listed == tiny(variants={"dnn": {"model": "dnn"}, "turned": {"augmentation.rotation": 5.0}})
    assert listed.model_dump()["variants"] == {"dnn": {"model": "dnn"}, "turned": {"augmentation.rotation": 5.0}}


def test_free_names_below_arguments_work_in_the_base_variants_search_factors_and_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        """
base: {model: "torchvision:resnet18", model_arguments: {attention: true, block: {kind: a}}, epochs: 1}
variants: {b: {model_arguments.block.kind: b}}
search: {model_arguments: {rate: {grid_search: [0.1, 0.2]}}}
ablate: {remove: [attention], factors: {attention: {model_arguments: {attention: false}}}}
data: {images: 70}
"""
    )
    plan = Study.load(tmp_path / "x.yaml", ["base.model_arguments.depth=3"]).plan(DATA)
    assert [(trial.variant, trial.config.model_arguments) for trial in plan[:3]] == [
        ("baseline", {"attention": True, "block": {"kind": "a"}, "depth": 3, "rate": 0.1}),
        ("no-attention", {"attention": False, "block": {"kind": "a"}, "depth": 3, "rate": 0.1}),
        ("b", {"attention": True, "block": {"kind": "b"}, "depth": 3, "rate": 0.1}),
    ]
    assert plan[3].overrides == {"model_arguments.rate": 0.2}


def test_fields_that_have_an_effect_only_together_can_be_searched_together() -> None:
    plan = tiny(seeds=1, ablate=None, search={"optimizer": {"grid_search": ["sgd", "adamw"]}, "weight_decay": {"choice": [0.1]}}).plan(DATA)
    assert [(trial.config.optimizer, trial.config.weight_decay) for trial in plan] == [("sgd", 0.1), ("adamw", 0.1)]
