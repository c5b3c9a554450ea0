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
        ("~", None), ("=", "="), ("!!int 3", 3), ("!!float 3", 3.0), ("-.inf", float("-inf")), ("!!str 3", "3"),
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
        ("a: !!python/object/apply:os.system ['true']", "a study file is data, and has no tags"),
        ("? [a]\n: 1", "line 1, column 3: a list or mapping is not a name"),
        ("? !!set {a}\n: 1", "a list or mapping is not a name"),
        ("a:\n  b: {1: 2}", "line 2, column 7: '1' is not a name: names are text"),
        ("a: [{true: 2}]", "'true' is not a name"),
        ("~: 2", "'~' is not a name"),
        ("a: 1\nb: !!int abc", "line 2, column 4: 'abc' cannot be read as int"),
        ("a: !!float abc", "'abc' cannot be read as float"),
        ("a: !!bool x", "'x' cannot be read as bool"),
        ("a: !!timestamp x", "a study file is data, and has no tags"),
        ("a: !!set {b}", "a study file is data, and has no tags"),
        (f"a: 1\nb: {'9' * 5000}", "line 2, column 4: '99999999999999999999999999999999999999999999999999'... (5000 characters)"),
        ("a: &a [*a]", "line 1, column 8: an alias inside what it stands for"),
        ("a: &a {b: {c: *a}}", "an alias inside what it stands for"),
        ("a: &a {<<: *a}", "an alias inside what it stands for"),
        (f"a: {'[' * 2000}{']' * 2000}", "line 1, column 54: nested more than 50 deep"),
        ("a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 2000)), "line 50, column 12: nested more than 50 deep"),
        ("a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 40)), "more than 100,000 values"),
        ("- a", "a study file is a mapping"),
        ("", "a study file is a mapping"),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        content(tmp_path, text)
    assert message in str(raised.value)


def test_aliases_and_merge_keys_take_over_what_was_said_before(tmp_path: Path) -> None:
    text = "outer: {inner: &x {<<: &base {l1: 1, l2: 2}, l2: 3}}\nvariants: {a: {<<: *x, l2: 4}, b: *x}"
    assert content(tmp_path, text) == {
        "outer": {"inner": {"l1": 1, "l2": 3}},
        "variants": {"a": {"l1": 1, "l2": 4}, "b": {"l1": 1, "l2": 3}},
    }


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


@pytest.mark.parametrize("setting", ["base.epochs", "=3", "base..epochs=3", "a=[1,", "a" + 2000 * ".a" + "=1"])
def test_an_override_that_is_none_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        override({}, [setting])
