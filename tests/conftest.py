"""What tests of several modules ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ledger_fixture import Made

from ferray.analysis.results import Results


@pytest.fixture(scope="module")
def results(made: Made) -> Results:
    """What there is of the study that a module makes up with a fixture ``made`` of its own."""
    return Results.load(made.path, made.name)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Several would wait for each other, far longer than they compute, where other processes share the processor."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
