"""The reference of study files: made from the models, and kept up to date."""

from __future__ import annotations

import re
from pathlib import Path

from jsonschema import Draft202012Validator

from ferray import Study, study_file
from ferray.config import Augmentation, Config
from ferray.data import load
from ferray.data_source import DataSource
from ferray.designs import Ablation
from ferray.factors import FACTORS
from ferray.published import Published
from ferray.reference import reference
from ferray.schema import study_schema
from ferray.search import LISTS, NUMERIC

PAGE = (Path(__file__).parents[1] / "docs" / "study-file.md").read_text(encoding="utf-8")


def test_the_page_is_up_to_date() -> None:
    assert PAGE.endswith("<!-- From here on made by `make reference`. -->\n\n" + reference()), "run `make reference`"


def test_every_field_factor_and_domain_is_in_it() -> None:
    names = {
        *Study.model_fields, *DataSource.model_fields, *Ablation.model_fields, *Published.model_fields, *Augmentation.model_fields,
        *(set(Config.model_fields) - {"seed", "device"}), *FACTORS,
    }  # fmt: skip
    rows = {row.split("`")[1] for row in PAGE.splitlines() if row.startswith("| `")}
    assert names <= rows
    assert {f"{name}:" for name in [*LISTS, *NUMERIC]} <= {row.split()[0] for row in rows}


def test_types_defaults_and_ranges_are_in_plain_words() -> None:
    text = reference()
    for row in [
        "| `epochs` | whole number | `50` | at least 1 | Passes over the training images. |",
        "| `dropout` | number | `0.5` (cnn), `0` (dnn) | at least 0, less than 1 |",
        "| `seeds` | whole number, or list of whole numbers | `1` | at least 1, at most 100,000 |",
        "| `optimizer` | text | `adam` | `adam`, `adamw`, `sgd` |",
        "| `keep_weights` | true or false | `true` |",
        "| `batch_norm` | `batch_norm: false` |",
        "| `remove` | list | to be given |",
    ]:
        assert row in text


def test_the_example_is_a_study_of_as_many_trials_as_it_says(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    assert example
    (tmp_path / "example.yaml").write_text(example[1])
    assert Draft202012Validator(study_schema()).is_valid(study_file.read(tmp_path / "example.yaml")[1])
    study = Study.load(tmp_path / "example.yaml")
    plan = study.plan(load(DataSource(images=70)))
    assert (len(study.all_variants()), len(plan)) == (6, 240)
    assert "6 variants x (4 draws x 2 grid points) x 5 seeds, which is 240 trials" in PAGE.replace("\n", " ")
