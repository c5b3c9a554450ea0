"""Ray Tune as its guides use it: trials that load torch, do nothing or sleep, and report once."""

from __future__ import annotations

import tempfile
import time
from typing import TYPE_CHECKING, Any

from benchmarks.studies import warm

if TYPE_CHECKING:
    from benchmarks.contender import Clocked, Round


def sleeps(config: dict[str, Any]) -> None:
    """A trial."""
    import torch
    from ray import tune

    time.sleep(config["seconds"])
    tune.report({"loss": float(torch.zeros(()))})


def trials(count: int, *, reuse_actors: bool) -> Round:
    """An experiment of so many trials that do nothing, in a session of Ray that is warm."""
    _start()

    def one_round() -> Clocked:
        return warm(_experiment(count, 0.0, reuse_actors=reuse_actors))

    return one_round


def paced(count: int, seconds: float, *, reuse_actors: bool) -> Round:
    """An experiment of so many trials that sleep; what is done is the seconds that they slept."""
    _start()
    _experiment(1, 0.0, reuse_actors=reuse_actors)

    def one_round() -> float:
        return seconds * len(_experiment(count, seconds, reuse_actors=reuse_actors))

    return one_round


def _start() -> None:
    import ray

    ray.init(address="local", include_dashboard=False, log_to_driver=False)


def _experiment(count: int, seconds: float, *, reuse_actors: bool) -> list[float]:
    """The moments at which the trials ended."""
    from ray import tune

    ends: list[float] = []

    class Ends(tune.Callback):
        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            ends.append(time.perf_counter())

        def __getstate__(self) -> dict[str, Any]:
            return {}

    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            tune.with_resources(sleeps, {"cpu": 1}),
            param_space={"number": tune.grid_search(list(range(count))), "seconds": seconds},
            tune_config=tune.TuneConfig(reuse_actors=reuse_actors),
            run_config=tune.RunConfig(storage_path=folder, verbose=0, callbacks=[Ends()]),
        )
        results = tuner.fit()
    if len(ends) != count or results.num_errors:
        raise RuntimeError(f"{results.num_errors} of {count} trials failed")
    return ends
