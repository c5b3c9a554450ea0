"""Studies: one validated model for the file and for Python, and the plan that it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from studies import tiny

from ferray import Study
from ferray.config import DataSource
from ferray.data import load
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


def test_the_file_and_python_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text("seeds: 3\nbase: {l1: 1e-4, epochs: 5}\ndata: synthetic\n")
    said = Study(name="tiny", seeds=3, base={"l1": 1e-4, "epochs": 4}, data="synthetic")
    assert Study.load(tmp_path / "tiny.yaml", ["base.epochs=4"]) == said


def test_an_override_reaches_into_the_short_form_of_the_data(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("data: fer2013\n")
    assert Study.load(tmp_path / "x.yaml", ["data.subset=10"]).data == DataSource(source="fer2013", subset=10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sedes": 3}, "sedes: unknown key; did you mean 'seeds'"),
        ({"name": "../x"}, "name: String should match pattern"),
        ({"name": ""}, "name"),
        ({"seeds": 0}, "seeds"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 1]}, "each seed once"),
        ({"base": {"epochs": 0}}, "base: epochs: Input should be greater than or equal to 1"),
        ({"base": {"epohcs": 3}}, "base: epohcs: unknown key; did you mean 'epochs'"),
        ({"base": {"seed": 3}}, "seed is set by the study's `seeds`"),
        ({"variants": {"a": {"modle": "dnn"}}}, "variant 'a': modle: unknown key; did you mean 'model'"),
        ({"variants": {"baseline": {}}}, "two are called baseline"),
        ({"ablate": {"design": "pth", "remove": ["l1"]}}, "ablate.design"),
        ({"ablate": {"remove": []}}, "ablate.remove"),
        ({"ablate": {"remove": ["l2"]}}, "the base has no l2 to take away"),
        ({"search": {"l1": {"choice": [1e-4, "x"]}}}, "search of {'l1': 'x'}: l1: Input should be a valid number"),
        ({"search": {"epochs": {"uniform": [1, 3]}}}, "epochs"),
        ({"search": {"l3": {"choice": [1]}}}, "l3: unknown key"),
        ({"published": {"cnn": {"test": 0.6}}}, "no variant is called cnn"),
        ({"data": "fer2012"}, "data.source: Input should be 'synthetic' or 'fer2013'"),
        ({"gpus": -1.0}, "gpus"),
    ],
)
def test_a_fault_is_told_before_anything_runs(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        tiny(**changes)
    assert message in str(raised.value)


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


def test_other_data_are_other_trials() -> None:
    other = load(DataSource(images=70, seed=1))
    assert not {trial.key for trial in tiny().plan(DATA)} & {trial.key for trial in tiny().plan(other)}


def test_gpus_put_the_trials_on_cuda_and_in_its_precision() -> None:
    configs = [trial.config for trial in tiny(gpus=0.5, base={"augmentation": {"rotation": 5}}).plan(DATA)]
    assert {(config.device, config.precision) for config in configs} == {("cuda", "bf16")}
