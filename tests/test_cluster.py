"""The cluster file that ships is one that Ray accepts."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

CONFIG = yaml.safe_load((Path(__file__).parents[1] / "cluster.yaml").read_text())


def test_cluster_yaml_is_valid_against_rays_own_schema() -> None:
    validate_config(prepare_config(CONFIG))  # as `ray up` does


def test_the_schema_would_notice_a_fault() -> None:
    with pytest.raises(Exception, match="max_wrokers"):
        validate_config(prepare_config({**CONFIG, "max_wrokers": 3}))


def test_the_dashboard_is_not_open_to_the_world() -> None:
    (start,) = [command for command in CONFIG["head_start_ray_commands"] if "ray start" in command]
    assert "--dashboard-host=127.0.0.1" in start
