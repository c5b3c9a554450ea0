"""``python -m simulations``: checks ferray's statistics on made-up worlds, and writes what came out."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from ferray import atomic
from simulations import page
from simulations.run import Outcome, outcome
from simulations.scenarios import everything, quick

ROOT = Path(__file__).parent.parent


def main(
    quickly: Annotated[bool, typer.Option("--quick", help="One world of each kind, to the terminal only; less than a minute.")] = False,
    studies: Annotated[int, typer.Option(help="Studies of each world.", min=20)] = 1000,
    seed: Annotated[int, typer.Option(help="Of all random numbers.")] = 0,
    remake: Annotated[Path | None, typer.Option(help="Only write docs/simulations.md again, from this file of results.")] = None,
    workers: Annotated[int, typer.Option(help="Processes.", min=1)] = os.cpu_count() or 1,
) -> None:
    """Simulates studies of known truth.

    The full run takes half an hour on two cores; it writes simulations/results/DATE.json and docs/simulations.md.
    """
    if remake is not None:
        atomic.write(ROOT / "docs" / "simulations.md", page.page(json.loads(remake.read_text()), remake.name).encode())
        return
    scenarios = quick() if quickly else everything()
    count = min(studies, 300) if quickly else studies
    started = time.monotonic()
    with ProcessPoolExecutor(workers) as pool:
        jobs = [pool.submit(outcome, one, count, seed + 1000 * place) for place, one in enumerate(scenarios)]
        outcomes = list(_told(job.result() for job in jobs))
    results = _results(outcomes, count, seed, time.monotonic() - started)
    if quickly:
        print("\n".join(page.tables(results)))
    else:
        file = ROOT / "simulations" / "results" / f"{results['date']}.json"
        atomic.write(file, (json.dumps(results, indent=1) + "\n").encode())
        atomic.write(ROOT / "docs" / "simulations.md", page.page(results, file.name).encode())
        print(f"{file}\n{ROOT / 'docs' / 'simulations.md'}")
    failures = [failure for one in outcomes for failure in one.failures]
    print("\n".join(failures) or "everything holds")
    sys.exit(1 if failures else 0)


def _told(outcomes: Iterable[Outcome]) -> Iterable[Outcome]:
    for one in outcomes:
        print(f"{one.scenario.part}: {one.label} ({one.seconds:.0f} s)", file=sys.stderr)
        yield one


def _results(outcomes: list[Outcome], studies: int, seed: int, seconds: float) -> dict[str, Any]:
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "studies": studies,
        "seed": seed,
        "minutes": round(seconds / 60, 1),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("ferray", "numpy", "scipy")}},
        "hardware": f"{platform.machine()}, {os.cpu_count()} cores",
        "worlds": [one.as_json for one in outcomes],
    }


if __name__ == "__main__":
    typer.run(main)
