"""The example notebook, run from the first cell to the last in a kernel of its own, and the live picture there."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "examples" / "quickstart.ipynb"


def execute(notebook: Any, folder: Path, **variables: str) -> Any:
    """The notebook with its outputs, from a kernel of this interpreter that has ended."""
    manager = KernelManager()
    manager.kernel_spec.argv[0] = sys.executable  # type: ignore[union-attr]  # whatever python the spec of this machine names
    client = NotebookClient(notebook, km=manager, timeout=300, resources={"metadata": {"path": str(folder)}})
    try:
        return client.execute(env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables})
    finally:
        manager.shutdown_kernel(now=True)


def text(cell: Any) -> str:
    """All that a cell shows, as text."""
    parts = []
    for output in cell.outputs:
        data = output.get("data", {})
        parts.append(output.get("text") or data.get("text/html") or data.get("text/plain") or "")
    return "\n".join(parts)


def started_with(mark: str) -> list[str]:
    """The command lines of all processes that have a word in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it may have ended meanwhile, or belong to somebody else
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
    return found


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_notebook_runs_and_its_picture_shows_every_trial(tmp_path: Path) -> None:
    done = execute(nbformat.read(NOTEBOOK, as_version=4), tmp_path)
    run = next(cell for cell in done.cells if "study.run" in cell.source)
    assert "notebook  4 done  0 running  0 waiting  0 failed" in text(run)
    assert "24/24 epochs" in text(run)
    assert "best so far" in text(run)
    assert "{'finished': 4}" in text(run)
    figure = next(cell for cell in done.cells if "draw_ablation" in cell.source)
    assert any("image/png" in output.get("data", {}) for output in figure.outputs)
    assert (tmp_path / "ferray_results" / "reports" / "notebook" / "index.html").exists()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_ray_in_a_kernel_leaves_no_process_behind(tmp_path: Path) -> None:
    mark = f"mark-{uuid.uuid4()}"
    notebook = nbformat.v4.new_notebook()
    source = "from studies import tiny\noutcome = tiny(seeds=1).run('results')\noutcome.statuses, outcome.interrupted"
    notebook.cells = [nbformat.v4.new_code_cell(source)]
    done = execute(notebook, tmp_path, MARK=mark)
    assert "({'finished': 2}, False)" in text(done.cells[0])
    assert "tiny  2 done" in text(done.cells[0])
    end = time.monotonic() + 20
    while started_with(mark) and time.monotonic() < end:
        time.sleep(0.2)
    assert started_with(mark) == []
