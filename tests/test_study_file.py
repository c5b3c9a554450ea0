"""Study files are data, read as their writers mean them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferray.errors import ConfigError
from ferray.study_file import override, read


def content(tmp_path: Path, text: str) -> dict[str, object]:
    file = tmp_path / "study.yaml"
    file.write_text(text, encoding="utf-8")
    return read(file)[1]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4), ("1.0e-4", 1e-4), ("1E3", 1000.0), (".5", 0.5), ("5.", 5.0), ("-3", -3), ("010", 10), ("on", "on"), ("no", "no"),
        ("~", None),
        ("true", True), ("False", False), ("1:30", "1:30"), ("2026-01-01", "2026-01-01"), ("1_000", "1_000"), ("'1e-4'", "1e-4"),
    ],
)  # fmt: skip
def test_numbers_and_booleans_are_those_of_yaml_1_2(tmp_path: Path, text: str, value: object) -> None:
    read_back = content(tmp_path, f"x: {text}")["x"]
    assert read_back == value
    assert type(read_back) is type(value)


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    assert content(tmp_path, "\ufeffname: x") == {"name": "x"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: [1,\n", "line 3"),
        ("a: 1\na: 2\n", "line 2, column 1: 'a' appears twice"),
        ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("? [a]\n: 1", "is not a name"),
        ("- a", "a study file is a mapping"),
        ("", "a study file is a mapping"),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        content(tmp_path, text)
    assert message in str(raised.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read(tmp_path / "binary.yaml")


def test_overrides_are_dotted_names_and_yaml_values() -> None:
    base = {"base": {"epochs": 50, "l1": 0.1}, "seeds": 5}
    assert override(base, ["base.epochs=3", "seeds=[1, 2]", "base.augmentation.rotation=1e1"]) == {
        "base": {"epochs": 3, "l1": 0.1, "augmentation": {"rotation": 10.0}},
        "seeds": [1, 2],
    }


def test_an_override_replaces_what_was_there() -> None:
    base = {"variants": {"dnn": {"model": "dnn"}}, "seeds": 5}
    assert override(base, ["variants={}", "seeds.x=1"]) == {"variants": {}, "seeds": {"x": 1}}
    assert base["seeds"] == 5


@pytest.mark.parametrize("setting", ["base.epochs", "=3", "base..epochs=3", "a=[1,"])
def test_an_override_that_is_none_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        override({}, [setting])
