"""The report of a study: one page that needs nothing else, with every figure and table also as a file."""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure

from ferray.analysis import details, prose, tables
from ferray.analysis.ablation import ablation_info, draw_ablation
from ferray.analysis.confusion import confusion_info, draw_confusion, draw_pairs, pairs_info
from ferray.analysis.curves import curves_info, draw_curves
from ferray.analysis.examples import draw_examples, examples_info
from ferray.analysis.figures import Drawing, render
from ferray.analysis.models import draw_models, models_info
from ferray.analysis.results import SPLITS, Results
from ferray.analysis.search import draw_search, search_info
from ferray.analysis.tables import Table
from ferray.analysis.wording import moment, plural, split_label
from ferray.errors import LedgerError

CURVES_PER_FIGURE = 12
"""Variants in one figure of curves; more than these would be too small to read on a page."""


@dataclass(frozen=True)
class Block:
    """A paragraph, a list, a figure or a table of the page, in its place."""

    text: str = ""
    items: tuple[str, ...] = ()
    table: Table | None = None
    drawing: Drawing | None = None
    caption: str = ""
    number: int = 0

    @property
    def source(self) -> str:
        """The figure's picture as an address that holds it."""
        return "" if self.drawing is None else f"data:image/png;base64,{base64.b64encode(self.drawing.png).decode()}"


@dataclass
class Section:
    """A numbered section that collects its blocks while the page is made."""

    anchor: str
    title: str
    blocks: list[Block] = field(default_factory=list)


class Page:
    """Collects sections and numbers figures and tables through the whole page."""

    def __init__(self) -> None:
        self.sections: list[Section] = []
        self.drawings: list[Drawing] = []
        self.tables: list[Table] = []

    def section(self, anchor: str, title: str) -> None:
        """Begins a section; what follows belongs to it."""
        self.sections.append(Section(anchor, title))

    def say(self, sentences: Sequence[str]) -> None:
        """Adds a paragraph."""
        self.sections[-1].blocks.append(Block(text=" ".join(sentences)))

    def enumerate(self, sentences: Sequence[str]) -> None:
        """Adds a list with an item for each sentence, or nothing without any."""
        if sentences:
            self.sections[-1].blocks.append(Block(items=tuple(sentences)))

    def show(self, name: str, draw: Callable[[], Figure], caption: str) -> None:
        """Draws and adds a figure."""
        self.drawings.append(render(name, draw))
        self.sections[-1].blocks.append(Block(drawing=self.drawings[-1], caption=caption, number=len(self.drawings)))

    def tabulate(self, table: Table) -> None:
        """Adds a table."""
        self.tables.append(table)
        self.sections[-1].blocks.append(Block(table=table, caption=table.caption, number=len(self.tables)))


def write_report(storage: str | os.PathLike[str], study: str, *, folder: str | os.PathLike[str] | None = None) -> Path:
    """Writes the report of a study from its ledger alone, as far as its trials are; gives the path of the page.

    ``folder`` is where it goes instead of the storage's own ``reports/<study>``: ``index.html``, ``figures/`` (PNG and PDF) and
    ``tables/`` (CSV, Markdown, LaTeX). Raises LedgerError where there is no such study, or where the folder cannot be written.
    """
    results = Results.load(storage, study)
    place = Path(folder) if folder is not None else results.ledger.report_folder(study)
    page, context = compose(results)
    try:
        for drawing in page.drawings:
            drawing.save(place / "figures")
        for table in page.tables:
            table.save(place / "tables")
        return _write(place / "index.html", _template().render(page=page, **context))
    except OSError as error:
        raise LedgerError(f"cannot write the report to {place}: {error.strerror or error}") from error


def compose(results: Results) -> tuple[Page, dict[str, Any]]:
    """All sections with their figures and tables, and what the template says around them."""
    page = Page()
    labels = {split: split_label(str(results.data["name"]), split) for split in SPLITS}
    models, curves, ablation, search = models_info(results), curves_info(results), ablation_info(results), search_info(results)
    confusion = confusion_info(results)
    pairs = pairs_info(confusion) if confusion else None

    page.section("models", "Models")
    page.say(prose.model_sentences(models))
    page.tabulate(tables.models_table(models))
    page.show(
        "models",
        lambda: draw_models(models),
        "Accuracy of every variant: the large dot is the mean over n seeds, the line its 95 % t interval, small dots are the seeds"
        + (", hollow diamonds are published numbers." if any(any(m.published.values()) for m in models.models) else "."),
    )

    page.section("process", "Training process")
    page.enumerate(prose.process_sentences(curves))
    page.say([prose.loss_definition(curves)])
    for part, chosen in enumerate(curves.split(CURVES_PER_FIGURE)):
        page.show(
            "curves" if part == 0 else f"curves_{part + 1}",
            lambda chosen=chosen: draw_curves(chosen),  # type: ignore[misc]
            f"Accuracy and loss against epoch, training and {labels['validation']}. Thin lines are seeds, the thick line is their mean "
            "over n seeds, the band reaches one standard deviation over seeds up and down; hollow dots mark the selected epochs. Training "
            "figures are running ones over each epoch's augmented batches, with dropout, and are therefore pessimistic about the training images.",
        )

    page.section("ablation", "Ablation")
    page.enumerate(prose.ablation_sentences(ablation))
    page.say(prose.path_sentences(ablation))
    if ablation.removals:
        page.show(
            "ablation",
            lambda: draw_ablation(ablation),
            f"Accuracy minus that of {ablation.baseline} (the zero line) in points. The large dot is the mean over n paired seeds, the "
            "line its 95 % paired t interval, small dots are the seeds.",
        )
        page.tabulate(tables.ablation_table(ablation))

    page.section("confusion", "Which classes are confused")
    if confusion is None or pairs is None:
        page.say(["No finished trial has left predictions yet, so there is no confusion matrix."])
    else:
        page.say(prose.confusion_sentences(confusion, pairs))
        page.show(
            "confusion",
            lambda: draw_confusion(confusion),
            f"Confusion matrix of {confusion.variant} on the {confusion.label} at the selected epoch, summed over "
            f"{plural(len(confusion.seeds), 'seed')}: counts, and percent of each true class. Both are shaded by percent.",
        )
        page.show(
            "confused_pairs",
            lambda: draw_pairs(pairs),
            f"The most confused classes of {pairs.variant}: true class, what it is taken for, and n, its images. The line is Wilson's "
            "95 % interval over these images" + (", small dots are the seeds." if pairs.seeds > 1 else "."),
        )
        page.tabulate(tables.pairs_table(pairs))
        examples = examples_info(results, pairs)
        if examples is None:
            page.say(["The ledger holds no images of these pairs."])
        else:
            page.show(
                "examples",
                lambda: draw_examples(examples),
                f"Images that {examples.variant} most confidently takes for the wrong class: true class and answer at the left, below each "
                f"image the mean probability over {plural(examples.seeds, 'seed')} of the wrong class and, in brackets, of the true one.",
            )

    if search is not None:
        page.section("search", "Search")
        page.say(prose.search_sentences(search))
        if search.numeric and len(search.points):
            page.show(
                "search",
                lambda: draw_search(search),
                f"Accuracy on the {search.label} against each searched setting, n = {search.points['key'].nunique()} finished trials; "
                "other settings vary along with it.",
            )
        page.tabulate(tables.search_table(search))

    seeds, plan = details.plan_rows(results)
    document = results.study or {}
    trials = tables.trials_table(results)
    page.tables.append(trials)
    context = {
        "study": document,
        "title": document.get("title") or results.name,
        "run": moment(str(document.get("created", "unknown"))),
        "summary": prose.summary(models, ablation, pairs),
        "labels": labels,
        "data": results.data,
        "synthetic": results.synthetic,
        "protocol": prose.protocol_sentences(results, labels),
        "counts": details.status_counts(results),
        "planned": len(results.trials),
        "lost": details.lost_trials(results),
        "damaged": results.damaged,
        "environments": details.environments(results),
        "seeds": seeds,
        "plan": plan,
        "searches": search is not None,
        "twins": details.twins(results),
        "trials": trials,
    }
    return page, context


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ferray.analysis", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html.j2")


def _write(file: Path, text: str) -> Path:
    """Aside, then renamed: a reader meets the old page or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(aside).chmod(0o644)
        os.replace(aside, file)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    return file
