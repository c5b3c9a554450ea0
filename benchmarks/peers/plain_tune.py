"""Ray Tune as its guides use it, without ``reuse_actors``: trials that load torch, do nothing, and report once."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.contender import Round


def nothing(config: dict[str, Any]) -> None:
    """A trial."""
    import torch
    from ray import tune

    tune.report({"loss": float(torch.zeros(()))})


def trials(count: int) -> Round:
    """An experiment of so many trials, in a session of Ray that is warm."""
    import ray
    from ray import tune

    ray.init(include_dashboard=False, log_to_driver=False)

    def one_round() -> float:
        with tempfile.TemporaryDirectory() as folder:
            tuner = tune.Tuner(
                tune.with_resources(nothing, {"cpu": 1}),
                param_space={"number": tune.grid_search(list(range(count)))},
                tune_config=tune.TuneConfig(reuse_actors=False),
                run_config=tune.RunConfig(storage_path=folder, verbose=0),
            )
            results = tuner.fit()
        if len(results) != count or results.num_errors:
            raise RuntimeError(f"{results.num_errors} of {count} trials failed")
        return count

    one_round()
    return one_round
