"""The report of a study: one page that needs nothing else, with every figure and table also as a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import jinja2

from ferray import atomic
from ferray.analysis.results import Results
from ferray.analysis.sections import compose
from ferray.errors import LedgerError


def write_report(
    storage: str | os.PathLike[str],
    study: str,
    *,
    folder: str | os.PathLike[str] | None = None,
    say: Callable[[str], None] | None = None,
) -> Path:
    """Writes the report of a study from its ledger alone, as far as its trials are; gives the path of the page.

    ``folder`` is where it goes instead of the storage's own ``reports/<study>``: ``index.html``, ``figures/`` (PNG and PDF) and
    ``tables/`` (CSV, Markdown, LaTeX). ``say`` takes what a reader must know before any number, a line for each remark. Raises
    LedgerError where there is no such study, or where the folder cannot be written.
    """
    results = Results.load(storage, study)
    place = Path(folder) if folder is not None else results.ledger.report_folder(study)
    try:
        place.mkdir(parents=True, exist_ok=True)
        page, context = compose(results)
        for drawing in page.drawings:
            drawing.save(place / "figures")
        for table in page.tables:
            table.save(place / "tables")
        atomic.write(place / "index.html", _template().render(page=page, **context).encode())
    except OSError as error:
        raise LedgerError(f"cannot write the report to {place}: {error.strerror or error}") from error
    if say is not None:
        for remark in context["remarks"]:
            say(f"note: {remark}")
    return place / "index.html"


def _tight(text: str) -> str:
    """Keeps a number and its unit on one line."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%").replace("n = ", "n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ferray.analysis", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["tight"] = _tight
    return environment.get_template("report.html.j2")
