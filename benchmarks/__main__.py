"""``python -m benchmarks``: measures ferray beside its peers, and writes what came out."""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks import page
from benchmarks.figures import Figure
from ferray import atomic, environment

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "performance.md"
IMAGES = ROOT / "docs" / "images"
RESULTS = ROOT / "benchmarks" / "results"


def _engine(*, quick: bool) -> list[Figure]:
    from benchmarks import engine, step

    rounds, images = (1, 256) if quick else (5, 768)
    return [*engine.figures(rounds, images), *step.figures(max(3, 3 * rounds))]


def _gpu(*, quick: bool) -> list[Figure]:
    from benchmarks import gpu

    return gpu.figures(2 if quick else 5, quick=quick)


def _scaling(*, quick: bool) -> list[Figure]:
    from benchmarks import capacity, scaling_chart

    if quick:
        return capacity.figures(1, 10, 8, (2,), 0.1)
    figures = capacity.figures(5, 200, 200, (2, 4, 8, 16), 0.5)
    atomic.write(IMAGES / "scaling.png", scaling_chart.scaling_chart(capacity.costs_of(figures)))
    return figures


def _orchestration(*, quick: bool) -> list[Figure]:
    from benchmarks import orchestration, reading

    if quick:
        own = orchestration.figures(1, warm=10, fresh=4, many=20, sleeps=[0.5])
        return [*own, *reading.figures(1, reported=20, listed=100, epochs=5)]
    own = orchestration.figures(3, warm=100, fresh=4, many=1000, sleeps=[3.0, 30.0])
    return [*own, *reading.figures(3, reported=1000, listed=10_000, epochs=50)]


def _answers(*, quick: bool) -> list[Figure]:
    from benchmarks import answers

    return answers.figures(1, taken=10) if quick else answers.figures(5)


PARTS: dict[str, Callable[..., list[Figure]]] = {
    "engine": _engine,
    "answers": _answers,
    "orchestration": _orchestration,
    "scaling": _scaling,
    "gpu": _gpu,
}
"""What can be measured, by name."""


def main(
    parts: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(PARTS)}; left out, all of them.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A round of each, to the terminal only: whether it runs, not how fast.")] = False,
    remake: Annotated[bool, typer.Option("--remake", help="Only write docs/performance.md again, from the newest results.")] = False,
) -> None:
    """Measures, writes benchmarks/results/DATE-PART.json and docs/performance.md; status 1 where a target is missed.

    Nothing else should run on the machine meanwhile.
    """
    unknown = [one for one in parts or () if one not in PARTS]
    if unknown:
        print(f"no such part: {', '.join(unknown)} (there are {', '.join(PARTS)})", file=sys.stderr)
        sys.exit(2)
    if remake:
        newest = {name: file for name in PARTS for file in sorted(RESULTS.glob(f"*-{name}.json"))}
        _write_page({name: json.loads(file.read_text()) for name, file in newest.items()})
        return
    missed = []
    for name in parts or PARTS:
        started = time.monotonic()
        figures = PARTS[name](quick=quick)
        results = _results(name, figures, (time.monotonic() - started) / 60)
        print("\n".join(page.table(results["figures"])))
        missed += [one.title for one in figures if one.is_met is False]
        if not quick:
            atomic.write(RESULTS / results["file"], (json.dumps(results, indent=1) + "\n").encode())
            _write_page({name: results})
    print("\n".join(f"missed: {one}" for one in missed) or "every target is met")
    sys.exit(1 if missed and not quick else 0)


def _write_page(parts: dict[str, Any]) -> None:
    if "engine" in parts:
        from benchmarks.engine_chart import engine_chart

        atomic.write(IMAGES / "engine.png", engine_chart(parts["engine"]["figures"]))
    atomic.write(PAGE, page.page(PAGE.read_text(encoding="utf-8"), parts).encode())


def _results(name: str, figures: list[Figure], minutes: float) -> dict[str, Any]:
    date = datetime.now(UTC).date().isoformat()
    return {
        "date": date,
        "file": f"{date}-{name}.json",
        "command": f"python -m benchmarks {name}",
        "minutes": round(minutes, 1),
        "environment": _environment(),
        "figures": [one.as_json for one in figures],
    }


def _environment() -> dict[str, Any]:
    import torch

    from ferray.config import Config

    told = {name: value for name, value in environment.describe().items() if name != "host"}
    try:
        told["tensorflow"] = importlib.metadata.version("tensorflow-cpu")
    except importlib.metadata.PackageNotFoundError:
        told["tensorflow"] = None
    return {
        **told,
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "precision": Config().precision,
    }


if __name__ == "__main__":
    typer.run(main)
