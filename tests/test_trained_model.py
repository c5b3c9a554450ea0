"""What a folder's model.json must say before anything of it is built or run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ferray.errors import ModelError
from ferray.trained_model import load_model, read_description

DESCRIPTION: dict[str, Any] = {
    "format": 1,
    "config": {"model": "./network.py:make"},
    "classes": ["a", "b"],
    "weights": {"file": "model.safetensors", "sha256": "0" * 64},
    "code": {"reference": "./network.py:make", "module": "package.network", "name": "make"},
    "preprocessing": {"channels": 1, "height": 8, "width": 8, "resize": "crop"},
}


def test_a_description_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(json.dumps(DESCRIPTION))
    assert read_description(tmp_path) == DESCRIPTION


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"config": 5}, "config"),
        ({"classes": "ab"}, "classes"),
        ({"weights": {}}, "weights.sha256"),
        ({"weights": 5}, "weights.sha256"),
        ({"preprocessing": {**DESCRIPTION["preprocessing"], "height": "8"}}, "preprocessing.height"),
        ({"preprocessing": None}, "preprocessing.channels"),
        ({"code": None}, "code"),
        ({"code": {"module": "network"}}, "code"),
        *(({"code": {**DESCRIPTION["code"], "module": module}}, "code") for module in ("/outside/network", "..network", "a/../b", "")),
    ],
)
def test_a_description_of_another_shape_or_with_a_path_for_a_module_is_refused(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    (tmp_path / "model.json").write_text(json.dumps({**DESCRIPTION, **change}))
    with pytest.raises(ModelError, match=f"not as it should be: .*{named}"):
        load_model(tmp_path)
