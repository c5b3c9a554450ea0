"""Which device made a figure: told by the ledger, and warned of where variants or studies were compared across kinds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ledger_fixture import Made, make_ledger

from ferray.analysis.comparison_page import make_comparison
from ferray.analysis.devices import between, device_notes, device_sentences, devices_info
from ferray.analysis.figures import Drawing
from ferray.analysis.remarks import remarks
from ferray.analysis.report import write_report
from ferray.analysis.results import Results
from ferray.ledger import Ledger
from ferray.ledger.devices import Device, devices, joined

H100 = {"device": "cuda", "gpu": "NVIDIA H100", "precision": "bf16"}
A100 = {**H100, "gpu": "NVIDIA A100"}
BF16 = {"device": "cpu", "precision": "bf16", "instructions": "avx2, avx512f, avx512_bf16"}
WITHOUT = {**BF16, "instructions": "avx2"}
Variants = dict[str, tuple[dict[str, Any], list[str]]]
VARIANTS: Variants = {"cnn": ({}, []), "slow": ({"learning_rate": 1e-4}, []), "dnn": ({"model": "dnn"}, [])}


def study(path: Path, ran_on: Mapping[tuple[str, int], Mapping[str, Any]], **options: Any) -> Made:
    """A made-up study of three seeds whose trials (variant, seed) ran as is said, the others on processors in fp32."""
    made = make_ledger(path, variants=options.pop("variants", VARIANTS), seeds=3, epochs=3, images=40, **options)
    for (variant, seed), environment in ran_on.items():
        edit(made, variant, seed, environment=environment)
    return made


def edit(made: Made, variant: str, seed: int, *, environment: Mapping[str, Any], **fields: Any) -> None:
    file = made.path / "trials" / made.keys[variant, 0, seed] / "record.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "environment": {**record["environment"], **environment}, **fields}))


def told(path: Path, ran_on: Mapping[tuple[str, int], Mapping[str, Any]], **options: Any) -> list[str]:
    study(path, ran_on, **options)
    return device_sentences(Results.load(path, "report"))


def test_variants_on_processors_and_on_a_gpu_are_warned_of_with_who_was_where(tmp_path: Path) -> None:
    (sentence,) = told(tmp_path, {("dnn", seed): H100 for seed in range(3)} | {("cnn", 1): H100})
    assert sentence.startswith(
        "Variants were compared across devices: on processors in fp32 cnn (seeds 0 and 2) and slow (seeds 0 to 2); "
        "on NVIDIA H100 in bf16 cnn (seed 1) and dnn (seeds 0 to 2). Of seeds 0 to 2 the pairs are across kinds. "
    )
    assert "seconds and images/s do not compare" in sentence
    assert "Precision changes the numbers beyond rounding." in sentence
    assert sentence in remarks(Results.load(tmp_path, "report"))


@pytest.mark.parametrize(
    ("one", "other"),
    [(H100, A100), (BF16, WITHOUT), (BF16, H100), ({}, BF16)],
    ids=["models of GPUs", "bf16 with and without instructions", "device", "precision"],
)
def test_whatever_makes_another_kind_is_warned_of(tmp_path: Path, one: dict[str, Any], other: dict[str, Any]) -> None:
    trials = [(variant, seed) for variant in VARIANTS for seed in range(3)]
    assert told(tmp_path / "same", dict.fromkeys(trials, one)) == []
    (sentence,) = told(tmp_path / "other", {trial: other if trial[0] == "dnn" else one for trial in trials})
    for environment in (one, other):
        device = Device.of({"device": "cpu", "precision": "fp32", **environment})
        assert device is not None
        assert f"on {device.told()} " in sentence
    assert ("Precision" in sentence) == (one.get("precision", "fp32") != other["precision"])


def test_precision_that_variants_are_to_differ_in_is_no_difference_of_devices(tmp_path: Path) -> None:
    variants: Variants = {"cnn": ({}, []), "bf16": ({"precision": "bf16"}, [])}
    assert told(tmp_path, {("bf16", seed): {"precision": "bf16"} for seed in range(3)}, variants=variants) == []


def test_seeds_that_are_each_on_one_kind_are_no_warning_but_a_note(tmp_path: Path) -> None:
    assert told(tmp_path, {(variant, 2): H100 for variant in VARIANTS}) == []
    (note,) = device_notes(Results.load(tmp_path, "report"))
    assert note == (
        "Trials ran on several kinds of devices, but all variants of a seed on the same one: on processors in fp32 cnn, slow and dnn "
        "(seeds 0 and 1); on NVIDIA H100 in bf16 cnn, slow and dnn (seed 2). Speeds do not compare."
    )


def test_variants_without_a_seed_in_common_are_compared_across_kinds_all_the_same(tmp_path: Path) -> None:
    outcome = {("cnn", 2): "missing", ("dnn", 0): "failed", ("dnn", 1): "failed", **{("slow", seed): "missing" for seed in range(3)}}
    (sentence,) = told(tmp_path, {("dnn", 2): H100}, outcome=outcome)
    assert "on processors in fp32 cnn (seeds 0 and 1); on NVIDIA H100 in bf16 dnn (seed 2). Each rounds" in sentence
    assert devices_info(Results.load(tmp_path, "report")).apart == (("cnn", "dnn"),)


def test_trials_that_left_no_figures_and_records_that_tell_no_device_warn_of_nothing(tmp_path: Path) -> None:
    assert told(tmp_path / "failed", {("dnn", 1): H100}, outcome={("dnn", 1): "failed"}) == []
    made = study(tmp_path / "old", {})
    for variant, _, seed in made.keys:
        edit(made, variant, seed, environment={"device": None})
    assert device_sentences(Results.load(made.path, "report")) == []


def test_many_variants_are_not_all_named(tmp_path: Path) -> None:
    many: Variants = {f"v{number}": ({"l1": number / 100}, []) for number in range(10)}
    (sentence,) = told(tmp_path, {("v9", 0): H100}, variants=many)
    assert "v0, v1, v2, v3, v4, v5 and 3 more variants (seeds 0 to 2)" in sentence


def test_other_models_of_processors_are_a_note_and_no_warning(tmp_path: Path) -> None:
    assert told(tmp_path, {("dnn", 0): {"processor": "Intel Xeon", "instructions": "avx2"}}) == []
    assert device_notes(Results.load(tmp_path, "report")) == [
        "Trials ran on several models of processors: AMD EPYC (8 trials) and Intel Xeon (1 trial). Rounding may differ between them, and "
        "speeds do not compare."
    ]


def gone_on(path: Path) -> Made:
    """A study of which one trial began on a processor and ended on a GPU."""
    made = study(path, {})
    before = {"from_epoch": 1, "to_epoch": 2, "environment": {"device": "cpu", "precision": "fp32", "host": "node-a"}}
    edit(made, "dnn", 1, environment={**H100, "precision": "fp32", "host": "node-b"}, elsewhere=[before])
    return made


def test_a_trial_that_went_on_on_another_device_is_a_kind_of_its_own(tmp_path: Path) -> None:
    made = gone_on(tmp_path)
    results = Results.load(tmp_path, "report")
    (sentence,) = device_sentences(results)
    assert "; on processors in fp32 and then NVIDIA H100 in fp32 dnn (seed 1). Of seed 1 the pairs are across kinds." in sentence
    assert (
        "1 trial went on elsewhere, or with other software: dnn seed 1, after epoch 2 from node-a (cpu fp32) to node-b (NVIDIA H100 fp32)."
        in (device_notes(results))
    )
    key = made.keys["dnn", 0, 1]
    assert joined(devices(Ledger(tmp_path), key, Ledger(tmp_path).record(key))) == "cpu fp32, then NVIDIA H100 fp32"


def test_the_ledger_lists_and_shows_the_devices(tmp_path: Path) -> None:
    made = gone_on(tmp_path)

    def command(*arguments: str) -> str:
        line = [sys.executable, "-m", "ferray.ledger", *arguments, "--storage", str(tmp_path)]
        return subprocess.run(line, capture_output=True, text=True, check=True).stdout

    header, *rows, _ = command("list").splitlines()
    assert "device" in header
    assert sorted({row[header.index("device") : header.index("when")].strip() for row in rows}) == [
        "cpu fp32", "cpu fp32, then NVIDIA H100 fp32",
    ]  # fmt: skip
    found = json.loads(command("list", "--variant", "dnn", "--seed", "1", "--json"))[0]["devices"]
    assert found == [
        {"kind": "cpu", "model": None, "precision": "fp32"},
        {"kind": "cuda", "model": "NVIDIA H100", "precision": "fp32"},
    ]
    shown = command("show", made.keys["dnn", 0, 1])
    assert "\n  on cpu fp32, then NVIDIA H100 fp32\n" in shown
    assert "\nepochs 1 to 2 were trained elsewhere\n  device  cpu\n  host    node-a\n" in shown


def test_the_report_has_the_warning_at_its_top_and_the_notes_in_its_details(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferray.analysis.page.render", lambda name, draw, fonts: Drawing(name, b"", b""))
    gone_on(tmp_path)
    html = write_report(tmp_path, "report", folder=tmp_path / "page").read_text(encoding="utf-8")
    assert html.index("Variants were compared across devices") < html.index("went on elsewhere, or with other software")


def test_two_studies_on_other_devices_are_warned_of_before_their_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferray.analysis.page.render", lambda name, draw, fonts: Drawing(name, b"", b""))
    study(tmp_path / "first", {}, name="first")
    study(tmp_path / "second", {(variant, seed): H100 for variant in VARIANTS for seed in range(3)}, name="second")
    first, second = Results.load(tmp_path / "first", "first"), Results.load(tmp_path / "second", "second")
    (sentence,) = between(first, second, ("first", "second"))
    assert sentence.startswith(
        "The studies ran on different devices: first on processors in fp32; second on NVIDIA H100 in bf16. Each rounds"
    )
    assert between(first, first, ("first", "again")) == []
    page = make_comparison(first, second, folder=tmp_path / "page")
    assert page.remarks[0] == sentence
    assert sentence.split(";")[0] in page.page.read_text(encoding="utf-8")


def test_an_environment_of_old_or_a_damaged_note_of_elsewhere_is_passed_over(tmp_path: Path) -> None:
    made = study(tmp_path, {})
    edit(made, "dnn", 1, environment={}, elsewhere=["rot", {"from_epoch": 1}])
    key = made.keys["dnn", 0, 1]
    assert joined(devices(Ledger(tmp_path), key, Ledger(tmp_path).record(key))) == "cpu fp32"
    assert Device.of({}) is None
    assert Device.of({"device": "cpu", "precision": "bf16"}) == Device("cpu", None, "bf16"), "nothing is known of its instructions"
