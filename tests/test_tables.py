"""Tables: what they say, and that each form of them escapes what would break it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from ledger_fixture import make_ledger

from ferray.analysis.accuracy import models_info
from ferray.analysis.confusion import confusion_info, pairs_info
from ferray.analysis.results import Results
from ferray.analysis.tables import Table, models_table, pairs_table, trials_table
from ferray.analysis.wording import minutes, moment, network_label, sentence, signed, split_label

AWKWARD = Table(
    "awkward", "50 % of _all_ {cells} & more", ("name", "value"), (("a|b_c & 5 % #1 $x$ ~^\\{}", "\N{MINUS SIGN}1.5"), ('quo"ted,', "<1>"))
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    path = tmp_path_factory.mktemp("ledger")
    make_ledger(path, outcome={("dnn", 1): "failed"})
    return Results.load(path, "report")


def test_csv_reads_back_with_a_hyphen_for_a_minus() -> None:
    rows = list(csv.reader(io.StringIO(AWKWARD.csv())))
    assert rows == [["name", "value"], ["a|b_c & 5 % #1 $x$ ~^\\{}", "-1.5"], ['quo"ted,', "<1>"]]


def test_markdown_escapes_its_pipes() -> None:
    lines = AWKWARD.markdown().splitlines()
    assert lines[1] == "| --- | ---: |"
    assert lines[2].startswith("| a\\|b_c & 5 %")


def test_latex_escapes_all_that_has_a_meaning_to_it() -> None:
    text = AWKWARD.latex()
    assert r"a\textbar{}b\_c \& 5 \% \#1 \$x\$ \textasciitilde{}\textasciicircum{}\textbackslash{}\{\} & $-$1.5 \\" in text
    assert r"\caption{50 \% of \_all\_ \{cells\} \& more}" in text
    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")
    assert r"\begin{tabular}{lr}" in text


def test_the_model_table_has_sizes_seeds_intervals_and_published_numbers(results: Results) -> None:
    table = models_table(models_info(results))
    row = dict(zip(table.columns, table.rows[1], strict=True))
    assert (row["variant"], row["network"], row["parameters"], row["seeds"]) == ("dnn", "DNN", "2,076,697", "2 of 3")
    assert table.rows[0][table.columns.index("published")] == "62.2"
    assert row["published"] == ""
    assert " to " in row["95 % interval"]


def test_the_pairs_table_counts_images_once(results: Results) -> None:
    confusion = confusion_info(results)
    assert confusion is not None
    table = pairs_table(pairs_info(confusion, top=3))
    assert len(table.rows) == 3
    assert table.rows[0][-1] == "3"


def test_the_trials_table_has_every_key(results: Results) -> None:
    table = trials_table(results)
    assert [row[-1] for row in table.rows] == list(results.trials["key"])
    failed = next(row for row in table.rows if row[3] == "failed")
    assert failed[6:9] == ("n/a", "n/a", "0.41")
    assert failed[4] == "n/a"


def test_a_table_is_saved_in_three_forms(tmp_path: Path) -> None:
    AWKWARD.save(tmp_path / "tables")
    assert sorted(file.name for file in (tmp_path / "tables").iterdir()) == ["awkward.csv", "awkward.md", "awkward.tex"]


def test_splits_are_public_and_private_for_fer2013_only() -> None:
    assert [split_label("FER2013", split) for split in ("train", "validation", "test")] == ["train", "public test", "private test"]
    assert [split_label("synthetic", split) for split in ("validation", "test")] == ["validation", "test"]


def test_numbers_have_proper_signs_and_zero_has_none() -> None:
    assert [signed(value) for value in (1.26, -1.26, -0.04, float("nan"))] == ["+1.3", "\N{MINUS SIGN}1.3", "0.0", "n/a"]


def test_less_than_a_minute_keeps_two_digits() -> None:
    assert [minutes(value) for value in (12.34, 1.0, 0.339, 0.0049, 0.0, float("nan"))] == ["12.3", "1.0", "0.34", "0.0049", "0.0", "n/a"]


def test_times_are_written_for_people() -> None:
    assert moment("2026-11-20T12:00:00+02:00") == "2026-11-20 10:00 UTC"
    assert moment("some day") == "some day"


def test_words_that_a_spreadsheet_would_compute_are_kept_words_and_numbers_numbers() -> None:
    table = Table("t", "", ("=name", "value"), (("=1+1", "-1.5"), ("@sum", "+0.3"), ("plain-name", "2")))
    rows = list(csv.reader(io.StringIO(table.csv())))
    assert rows == [["'=name", "value"], ["'=1+1", "-1.5"], ["'@sum", "+0.3"], ["plain-name", "2"]]


def test_markdown_shows_html_mathematics_and_links_as_text() -> None:
    table = Table("t", "", ("name",), (("<script>",), ("$x_1$",), ("[a](b)",), ("&lt; & more",), ("two\nlines",)))
    assert table.markdown().splitlines()[2:] == [
        "| \\<script\\> |", "| \\$x_1\\$ |", "| \\[a\\](b) |", "| \\&lt; & more |", "| two lines |",
    ]  # fmt: skip


def test_a_latex_row_that_begins_with_a_bracket_or_star_is_no_option_of_the_row_before() -> None:
    body = Table("t", "", ("name",), (("[1cm]",), ("*",))).latex()
    assert "    {[}1cm] \\\\\n    {*} \\\\" in body


@pytest.mark.parametrize(
    ("config", "label"),
    [
        ({"model": "cnn", "width": 1.0}, "CNN"),
        ({"model": "dnn", "width": 0.25}, "DNN, width 0.25"),
        ({"model": "torchvision:resnet18", "width": None}, "resnet18 (torchvision)"),
        ({"model": "./nets/net.py:Net", "model_arguments": {"depth": 3, "head": {"units": 64}}}, "Net (net.py), depth=3, head.units=64"),
        ({"model": "timm.models:create_model", "pretrained": "w.safetensors"}, "create_model (timm.models), pretrained"),
    ],
)
def test_networks_of_any_name_have_a_name_in_print(config: dict[str, object], label: str) -> None:
    assert network_label(config) == label


def test_a_foreign_sentence_gets_capital_and_stop_and_a_file_keeps_its_name() -> None:
    assert sentence("there is no test split") == "There is no test split."
    assert sentence("test.csv has no labels.") == "test.csv has no labels."
