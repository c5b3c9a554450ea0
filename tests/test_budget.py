"""Budgets: one unit, named so that nobody gets another one than was meant."""

from __future__ import annotations

from typing import Any

import pytest
from studies import tiny

from ferray.budget import Budget
from ferray.errors import ConfigError

ALLOWED = "one of gpu_hours (of all GPUs in use), processor_hours (of all processors in use) or hours (by the clock)"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cpu_hours": 4}, f"budget.cpu_hours: unknown key; did you mean 'processor_hours'? Give {ALLOWED}"),
        ({"CPU": 4}, "budget.CPU: unknown key; did you mean 'processor_hours'?"),
        ({"core_hours": 4}, "budget.core_hours: unknown key; did you mean 'processor_hours'?"),
        ({"GPU-hours": 4}, "budget.GPU-hours: unknown key; did you mean 'gpu_hours'?"),
        ({"hour": 4}, "budget.hour: unknown key; did you mean 'hours'?"),
        ({"minutes": 30}, f"budget.minutes: unknown key. Give {ALLOWED}"),
        ({"hours": 1, "cpu_hours": 2}, "budget.cpu_hours: unknown key; did you mean 'processor_hours'?"),
        ({}, f"budget: needs {ALLOWED}, as in {{processor_hours: 4}}"),
        ({"hours": 1, "processor_hours": 2}, f"budget: needs {ALLOWED}, not processor_hours and hours"),
        ({"hours": 0}, "budget.hours: must be greater than 0, not 0"),
        ({"hours": "2"}, "budget.hours: must be a number, and '2' is text: remove the quotes"),
        ({"gpu_hours": 2}, "budget.gpu_hours: trials have no GPUs, so none are spent; give processor_hours or hours, or set `gpus`"),
        (4, "budget: must be a mapping, such as {processor_hours: 4}, not 4"),
        ("4h", "budget: must be a mapping, such as {processor_hours: 4}, not '4h'"),
    ],
)
def test_a_budget_that_is_none_is_refused_with_what_there_is(given: Any, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        tiny(budget=given)
    assert message in str(raised.value)


def test_a_budget_has_one_unit_and_is_told_in_it() -> None:
    assert (Budget(processor_hours=4).unit, Budget(processor_hours=4).amount) == ("processor_hours", 4.0)
    assert [Budget(hours=1).told(), Budget(gpu_hours=2.5).told()] == ["1 hour", "2.5 GPU-hours"]


def test_an_empty_budget_is_none() -> None:
    assert tiny(budget=None).budget is None
