"""Accuracies from the literature, as a study file gives them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ferray.config import Frozen, Probability


class Published(Frozen):
    """Accuracies from the literature, printed beside a variant's own."""

    epochs: Annotated[int, Field(ge=1)] | None = None
    """That they were trained for; shorter trainings are not held against them."""
    validation: Probability | None = None
    """Accuracy on the validation split, 0..1."""
    test: Probability | None = None
    """Accuracy on the test split, 0..1."""
