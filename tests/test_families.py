"""Families: what the plan prices is what the report judges, for every design."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from ledger_fixture import make_ledger
from studies import tiny

from ferray.analysis.effects import effect_claims
from ferray.analysis.factorial_claims import factorial_claims
from ferray.analysis.families import Family, families
from ferray.analysis.results import Results
from ferray.designs import Ablation

FREE = {"wide": {"width": 0.1}}
BASE = {**tiny().base, "dropout": 0.2, "input_normalization": "scale"}
REMOVE = ["augmentation", "input_scaling", "dropout", "batch_norm"]


def of_design(design: str, remove: list[str], **more: object) -> list[Family]:
    study = tiny(base=BASE, ablate={"design": design, "remove": remove, **more}, variants=FREE)
    assert study.ablate
    return families(design, study.baseline, study.all_variants(), study.ablate.names)


@pytest.mark.parametrize(
    ("design", "remove", "more", "sizes"),
    [
        ("path", REMOVE[:3], {}, {"effect": 3, "step": 2, "variant": 1}),
        ("leave_one_out", REMOVE[:3], {}, {"effect": 3, "variant": 1}),
        ("add_one_in", REMOVE[:3], {}, {"effect": 4, "variant": 1}),
        ("factorial", REMOVE[:3], {}, {"main_effect": 3, "interaction": 3, "variant": 1}),
        ("fractional", REMOVE, {"resolution": 4}, {"main_effect": 4, "interaction": 3, "variant": 1}),
        ("fractional", REMOVE[:3], {"resolution": 3}, {"main_effect": 3, "variant": 1}),
    ],
)
def test_the_plan_prices_the_families_that_the_report_judges(
    tmp_path: Path, design: str, remove: list[str], more: dict[str, object], sizes: dict[str, int]
) -> None:
    assert {one.kind: len(one) for one in of_design(design, remove, **more)} == sizes
    study = tiny(base=BASE, ablate={"design": design, "remove": remove, **more}, variants=FREE)
    variants = {one.name: (dict(one.overrides), list(one.removed)) for one in study.all_variants()}
    ablation = Ablation.model_validate({"design": design, "remove": remove, **more}).describe()
    make_ledger(tmp_path, variants=variants, seeds=3, epochs=2, images=60, shape=(1, 8, 8), document={"ablation": ablation})
    results = Results.load(tmp_path, "report")
    judged = [one for one in (*effect_claims(results), *factorial_claims(results)) if one.verdict]
    assert Counter(one.kind for one in judged) == sizes
    assert len({one.family for one in judged}) == len(sizes)


@pytest.mark.parametrize("number", [2, 3, 4])
def test_a_main_effect_averages_half_of_the_variants_and_an_interaction_has_four_times_its_variance(number: int) -> None:
    main, interaction, *_ = of_design("factorial", REMOVE[:number])
    assert main.share == pytest.approx(1 / 2 ** (number - 1))
    assert interaction.share == pytest.approx(4 * main.share)
    noise = np.random.default_rng(0).normal(size=(4000, 2**number))
    for family in (main, interaction):
        weights = np.array(list(family.contrasts[0].values()))
        assert (noise @ weights).var() / (noise[:, 0] - noise[:, 1]).var() == pytest.approx(family.share, rel=0.12)


def test_a_study_that_removes_and_varies_nothing_judges_nothing() -> None:
    assert families(None, "baseline", tiny(ablate=None).all_variants()) == []
