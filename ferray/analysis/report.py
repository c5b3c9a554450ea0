"""The report of a study: one page that needs nothing else, with every figure and table also as a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import jinja2

from ferray import atomic
from ferray.analysis import claims, seal
from ferray.analysis.results import Results
from ferray.analysis.sections import compose
from ferray.errors import LedgerError


@dataclass(frozen=True)
class Report:
    """A page that was written, the sentences at its top, and what a reader must know before any number."""

    page: Path
    summary: tuple[str, ...]
    remarks: tuple[str, ...]


def write_report(storage: str | os.PathLike[str], study: str, *, folder: str | os.PathLike[str] | None = None) -> Path:
    """Writes the report of a study as ``make_report`` does; gives the path of the page."""
    return make_report(storage, study, folder=folder).page


def make_report(storage: str | os.PathLike[str], study: str, *, folder: str | os.PathLike[str] | None = None) -> Report:
    """Writes the report of a study from its ledger alone, as far as its trials are.

    ``folder`` is where it goes instead of the storage's own ``reports/<study>``: ``index.html``, ``claims.json`` (what the page says, for
    machines), ``figures/`` (PNG and PDF) and ``tables/`` (CSV, Markdown, LaTeX). Raises LedgerError where there is no such study, or where
    the folder cannot be written.
    """
    results = Results.load(storage, study)
    place = Path(folder) if folder is not None else results.ledger.report_folder(study)
    try:
        place.mkdir(parents=True, exist_ok=True)
        unlogged = seal.record_opening(results, "report")
        page, told, context = compose(results)
        if unlogged is not None:
            context["remarks"].append(f"That the test set was opened for this report could not be written down: {unlogged}.")
        for drawing in page.drawings:
            drawing.save(place / "figures")
        for table in page.tables:
            table.save(place / "tables")
        claims.write(place / "claims.json", study, told)
        atomic.write(place / "index.html", template("report.html.j2").render(page=page, **context).encode())
        return Report(place / "index.html", tuple(context["summary"]), tuple(context["remarks"]))
    except OSError as error:
        raise LedgerError(f"cannot write the report to {place}: {error.strerror or error}") from error


def _tight(text: str) -> str:
    """Keeps a number and its unit on one line."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%").replace("n = ", "n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}")


def template(name: str) -> jinja2.Template:
    """One of the templates of this package, in which whatever a user named is text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ferray.analysis", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["tight"] = _tight
    return environment.get_template(name)
