"""What ferray raises on purpose: messages in plain words that keep their places."""

from __future__ import annotations

import pickle

import pytest

from ferray.config import Config
from ferray.errors import ConfigError, Fault, nearest, reads_as_number, short


def test_an_error_keeps_its_faults_across_processes() -> None:
    error = ConfigError.of([Fault("base.l1", "must be a number"), Fault("", "no effect")], where="my.yaml")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.faults) == (str(error), error.faults)
    assert str(error) == "my.yaml: \n  base.l1: must be a number\n  no effect"


def test_faults_move_below_another_place() -> None:
    error = ConfigError.of([Fault("l1", "must be a number"), Fault("", "no effect")], where="config")
    assert error.under("search", "with l1 3: ", "; see `when`").faults == (
        Fault("search.l1", "must be a number"),
        Fault("search", "with l1 3: no effect; see `when`"),
    )
    assert str(ConfigError("of no known place").under("base")) == "base: of no known place"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, "epochs: must be at least 1, not 0"),
        ({"learning_rate": 0.0}, "learning_rate: must be greater than 0, not 0.0"),
        ({"dropout": 1.0}, "dropout: must be less than 1, not 1.0"),
        ({"augmentation": {"rotation": 200}}, "augmentation.rotation: must be at most 180, not 200"),
        ({"epochs": 2.5}, "epochs: must be a whole number, not 2.5"),
        ({"l1": True}, "l1: must be a number, not True"),
        ({"l1": float("inf")}, "l1: must be a finite number, not inf"),
        ({"l1": "1e-4"}, "l1: must be a number, and '1e-4' is text: remove the quotes"),
        ({"batch_norm": 1}, "batch_norm: must be true or false, not 1"),
        ({"model": 3}, "model: must be text, not 3"),
        ({"augmentation": []}, "augmentation: must be a mapping of names to values, not []"),
        ({"schedule": "cosin"}, "schedule: must be 'constant', 'cosine', 'one_cycle' or 'plateau', not 'cosin'; did you mean 'cosine'?"),
        ({"epochs": ["x"] * 50}, "epochs: must be a whole number, not ['x', 'x', 'x'"),
    ],
)
def test_what_pydantic_reports_is_told_in_plain_words(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Config.parse(given)
    assert str(raised.value).startswith(f"config: {message}")
    assert len(str(raised.value)) < 200


def test_the_nearest_word_is_offered_only_where_one_is_near() -> None:
    assert nearest("epohcs", ["epochs", "l1"]) == "; did you mean 'epochs'?"
    assert nearest("banana", ["epochs", "l1"]) == ""


@pytest.mark.parametrize("word", ["LEAVE_ONE_OUT", "leave-one-out", "Leave one out", "leave_one_uot"])
def test_capitals_and_hyphens_make_no_word_a_distant_one(word: str) -> None:
    assert nearest(word, ["leave_one_out", "path"]) == "; did you mean 'leave_one_out'?"


def test_what_is_empty_is_called_so() -> None:
    with pytest.raises(ConfigError, match="epochs: must be a whole number, and it is empty"):
        Config.parse({"epochs": None})


def test_beside_an_unknown_key_stands_what_there_is_where_that_is_short() -> None:
    with pytest.raises(ConfigError, match=r"augmentation\.blur: unknown key \(there are: rotation, horizontal_flip, shift, zoom, "):
        Config.parse({"augmentation": {"blur": 1.0}})
    with pytest.raises(ConfigError, match=r"banana: unknown key$"):
        Config.parse({"banana": 1.0})


def test_values_are_cut_where_they_are_long() -> None:
    assert short([1, 2]) == "[1, 2]"
    assert short("x" * 500).endswith("... (502 characters)")
    assert len(short("x" * 500)) < 100


def test_numbers_in_quotes_are_known() -> None:
    assert [text for text in ("1e-4", "5", "-.5", "three", "") if reads_as_number(text)] == ["1e-4", "5", "-.5"]
