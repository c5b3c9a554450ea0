"""The JSON Schema of study files: what editors accept is what ferray accepts, as far as a schema can tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ferray import Study, schema, study_file
from ferray.errors import ConfigError

ROOT = Path(__file__).parents[1]
FILES = sorted(file for folder in ("search_spaces", "examples") for file in (ROOT / folder).rglob("*.yaml"))
VALIDATOR = Draft202012Validator(schema.study_schema())

NETWORK = {"model": "./mine.py:make", "model_arguments": {"depth": 3, "attention": True}}
GOOD: dict[str, dict[str, Any]] = {
    "nothing": {},
    "empty search": {"search": {}, "variants": {}, "base": {}},
    "data by a word": {"data": "fer2013"},
    "data by a mapping": {"data": {"source": "images", "path": "x", "image_size": 48, "resize": "pad", "color": "rgb"}},
    "data by a loader": {"data": {"source": "./mine.py:load", "arguments": {"size": 48}}},
    "lists of seeds": {"seeds": [3, 5]},
    "dotted names": {"base": {"augmentation.rotation": 5, "epochs": 3}, "variants": {"a": {"augmentation.zoom": 0.1}}},
    "nulls": {"base": {"width": None, "pretrained": None, "transform": None}, "title": None, "ablate": None, "cpus": None},
    "variants as a list": {"variants": [{"name": "dnn", "model": "dnn"}, {"name": "x", "augmentation": {"zoom": 0.1}}]},
    "own network": {"base": NETWORK, "variants": {"flat": {"model_arguments.depth": 1}, "res": {"model": "torchvision:resnet18"}}},
    "own loss": {"base": {"loss": "torch.nn:MultiMarginLoss", "loss_arguments": {"margin": 0.5}}},
    "own transform": {"base": {"transform": "./a b/../t.py:make", "transform_arguments": {"p": 0.5}}},
    "factors": {"base": {"l1": 0.1}, "ablate": {"remove": ["l1", ["dropout", "x"]], "factors": {"x": {"augmentation": {"zoom": 0.2}}}}},
    "a fraction": {
        "base": {"l1": 0.1, "l2": 0.1},
        "ablate": {
            "design": "fractional", "resolution": "III", "remove": ["dropout", "batch_norm", "penalties"],
            "factors": {"penalties": ["l1", "l2"]},
        },
    },
    "a resolution as a number": {"ablate": {"design": "fractional", "resolution": 3, "remove": ["dropout", "batch_norm", "input_scaling"]}},
    "every domain of a number": {
        "search": {
            "l1": {"uniform": [0, 1]}, "l2": {"quniform": [0, 1, 0.25]}, "learning_rate": {"loguniform": [1e-7, 1e-3]},
            "width": {"qloguniform": [0.1, 1, 0.1]}, "epochs": {"randint": [3, 6]}, "batch_size": {"qlograndint": [10, 100, 10]},
            "threads": {"qrandint": [1, 10, 1]}, "weight_decay": {"choice": [0.0]}, "label_smoothing": {"choice": [0.0, 0.1]},
            "dropout": {"grid_search": [0, 0.5, None]},
            "augmentation": {"rotation": {"randn": [5.0, 0.1]}, "shift": {"qrandn": [0.2, 0.01, 0.01]}},
        }
    },
    "a searched group": {"search": {"augmentation": {"choice": [{}, {"rotation": 5.0, "zoom": 0.1}]}}},
    "searched words": {"search": {"model": {"grid_search": ["cnn", "dnn"]}, "batch_norm": {"choice": [True, False]}}},
    "conditions": {
        "search": {
            "optimizer": {"choice": ["sgd", "adam", "adamw"]},
            "momentum": {"uniform": [0.1, 0.9], "when": {"optimizer": "sgd"}},
            "weight_decay": {"choice": [0.1], "when": {"optimizer": ["sgd", "adamw"], "augmentation.zoom": 0.0}},
            "l1": {"choice": [0.1], "when": {"augmentation": {"zoom": [0.0]}, "device": "cpu"}},
        }
    },
    "searched arguments": {
        "base": NETWORK,
        "search": {
            "model_arguments": {"depth": {"randint": [1, 5]}, "block": {"kind": {"choice": ["a", "b"]}}},
            "model_arguments.rate": {"uniform": [0, 1], "when": {"model_arguments.attention": True}},
        },
    },
    "searched arguments as a group": {"base": NETWORK, "search": {"model_arguments": {"grid_search": [{"depth": 1}, {"depth": 2}]}}},
    "published": {"published": {"baseline": {"test": 0.6, "epochs": 3}}},
    "resources": {"cpus": 0.5, "gpus": 1, "num_samples": 3, "search_seed": 4, "keep_weights": False, "baseline": "base.1"},
}  # fmt: skip

BAD: dict[str, dict[str, Any]] = {
    "an unknown key": {"sedes": 3},
    "an unknown field": {"base": {"epohcs": 3}},
    "an unknown dotted field": {"base": {"augmentation.rotaton": 3}},
    "an unknown field of a group": {"base": {"augmentation": {"rotaton": 3}}},
    "a field that the study sets": {"base": {"seed": 3}},
    "text for a number": {"base": {"l1": "1e-4"}},
    "negative epochs": {"base": {"epochs": -1}},
    "a probability beyond one": {"base": {"augmentation.horizontal_flip": 1.5}},
    "no network": {"base": {"model": "cnm"}},
    "a word for true": {"base": {"batch_norm": "yes"}},
    "a name that is a path": {"name": "../x"},
    "a variant's name that is a path": {"variants": {"../x": {"l1": 0.1}}},
    "a variant without a name": {"variants": [{"l1": 0.1}]},
    "an unknown field of a variant": {"variants": {"a": {"modle": "dnn"}}},
    "an unknown field of a listed variant": {"variants": [{"name": "a", "modle": "dnn"}]},
    "an unknown field of a factor": {"ablate": {"remove": ["x"], "factors": {"x": {"epohcs": 3}}}},
    "an unknown design": {"ablate": {"design": "pth", "remove": ["l1"]}},
    "an empty group": {"ablate": {"remove": ["x"], "factors": {"x": []}}},
    "an empty list of factors": {"base": {"l1": 0.1}, "ablate": {"remove": ["l1", []]}},
    "an unknown resolution": {"ablate": {"design": "fractional", "resolution": "VI", "remove": ["dropout", "batch_norm", "input_scaling"]}},
    "nothing to remove": {"ablate": {"remove": []}},
    "no domain": {"search": {"l1": 3}},
    "an empty domain": {"search": {"l1": {}}},
    "an unknown domain": {"search": {"l1": {"unifrom": [0, 1]}}},
    "code": {"search": {"l1": {"eval": "1+1"}}},
    "code of Ray Tune": {"search": {"l1": {"sample_from": "lambda: 1"}}},
    "code below arguments": {"base": NETWORK, "search": {"model_arguments": {"depth": {"eval": "1"}}}},
    "an empty choice": {"search": {"l1": {"choice": []}}},
    "a value twice in a grid": {"search": {"l1": {"grid_search": [0.1, 0.1]}}},
    "two domains": {"search": {"l1": {"choice": [0.1], "uniform": [0, 1]}}},
    "too few arguments": {"search": {"l1": {"uniform": [0]}}},
    "too many arguments": {"search": {"l1": {"uniform": [0, 1, 2]}}},
    "text as a bound": {"search": {"l1": {"uniform": [0, "1"]}}},
    "a logarithm of nothing": {"search": {"l1": {"loguniform": [0, 1]}}},
    "fractions of a whole number": {"search": {"epochs": {"uniform": [1, 3]}}},
    "a range of words": {"search": {"optimizer": {"uniform": [1, 3]}}},
    "a value that the field cannot have": {"search": {"optimizer": {"choice": ["adam", "sdg"]}}},
    "a searched field that is none": {"search": {"l3": {"choice": [1]}}},
    "a searched field of a group that is none": {"search": {"augmentation": {"zom": {"choice": [0.1]}}}},
    "a condition alone": {"search": {"l1": {"when": {"optimizer": "sgd"}}}},
    "an empty condition": {"search": {"l1": {"choice": [0.1], "when": {}}}},
    "a condition on no field": {"search": {"l1": {"choice": [0.1], "when": {"optimzer": "sgd"}}}},
    "a condition that never holds": {"search": {"l1": {"choice": [0.1], "when": {"optimizer": "sdg"}}}},
    "no seeds": {"seeds": 0},
    "seeds as text": {"seeds": "3"},
    "no source": {"data": "fer2012"},
    "no source in the long form": {"data": {"source": "fer2012"}},
    "data as a list": {"data": ["fer2013"]},
    "an unknown key of the data": {"data": {"subste": 5}},
    "an unknown key of what is published": {"published": {"baseline": {"tset": 0.6}}},
}


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(schema.study_schema())


def test_the_file_is_what_the_code_makes() -> None:
    kept = (ROOT / "search_spaces" / "study.schema.json").read_text(encoding="utf-8")
    assert kept == schema.text(), "run `make reference`"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_study_files_fit_the_schema_and_name_it(file: Path) -> None:
    text, content = study_file.read(file)
    assert [fault.message for fault in VALIDATOR.iter_errors(content)] == []
    named = text.partition("\n")[0].removeprefix("# yaml-language-server: $schema=")
    assert (file.parent / named).resolve() == ROOT / "search_spaces" / "study.schema.json"


@pytest.mark.parametrize("case", GOOD)
def test_what_a_study_accepts_the_schema_accepts(case: str) -> None:
    Study(**{"name": "x", **GOOD[case]})
    assert [fault.message for fault in VALIDATOR.iter_errors(json.loads(json.dumps(GOOD[case])))] == []


@pytest.mark.parametrize("case", BAD)
def test_what_a_study_refuses_the_schema_refuses(case: str) -> None:
    with pytest.raises(ConfigError):
        Study(**{"name": "x", **BAD[case]})
    assert not VALIDATOR.is_valid(BAD[case])


def test_every_field_has_a_description() -> None:
    parts = schema.study_schema()["$defs"]
    described = {**schema.study_schema()["properties"], **{name: part for name, part in parts.items() if name.startswith("field.")}}
    for name in ("DataSource", "Published", "Ablation"):
        described |= {f"{name}.{field}": part for field, part in parts[name]["properties"].items()}
    assert [name for name, part in described.items() if not part.get("description")] == []


def test_the_command_prints_the_schema_or_the_reference(capsys: pytest.CaptureFixture[str]) -> None:
    schema.main(markdown=False)
    assert json.loads(capsys.readouterr().out) == schema.study_schema()
    schema.main(markdown=True)
    assert "| `l1` | number |" in capsys.readouterr().out
