"""The report's figures: a call for each, and the files that they become."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from ferray.analysis.ablation import ablation_info, draw_ablation
from ferray.analysis.accuracy import draw_models, models_info
from ferray.analysis.calibration import calibration_info
from ferray.analysis.confusion import confusion_info, draw_confusion, draw_pairs, pairs_info
from ferray.analysis.curves import curves_info, draw_curves
from ferray.analysis.examples import draw_examples, examples_info
from ferray.analysis.fonts import BASE, families
from ferray.analysis.hard_images import hard_info
from ferray.analysis.overfitting import draw_overfitting, overfitting_info
from ferray.analysis.pictures import draw_gallery
from ferray.analysis.reliability import draw_reliability
from ferray.analysis.results import Results
from ferray.analysis.samples import draw_search, search_info
from ferray.analysis.style import WIDTH, styled
from ferray.analysis.votes import draw_votes, votes_info
from ferray.errors import LedgerError

DOTS_PER_INCH = 200

Info = TypeVar("Info")


@dataclass(frozen=True)
class Drawing:
    """A figure by name, drawn and encoded; ``width`` is its share of the width of the text."""

    name: str
    png: bytes
    pdf: bytes
    width: float = 1.0

    def save(self, folder: Path) -> None:
        """Writes ``<name>.png`` and ``<name>.pdf``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.name}.png").write_bytes(self.png)
        (folder / f"{self.name}.pdf").write_bytes(self.pdf)


def render(name: str, draw: Callable[[], Figure], fonts: Sequence[str] = (BASE,)) -> Drawing:
    """Draws in the report's style and encodes; the same numbers give the same bytes where the same fonts are installed."""
    with styled(fonts):
        figure = draw()
        figure.set_dpi(DOTS_PER_INCH)
        png, pdf = io.BytesIO(), io.BytesIO()
        # Canvases by themselves draw once each; Figure.savefig draws twice, first to find the places.
        FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})  # type: ignore[no-untyped-call]
        figure.set_layout_engine("none")  # keeps the places that were just found, which takes longer than drawing
        FigureCanvasPdf(figure).print_pdf(pdf, metadata={"CreationDate": None, "Producer": None, "Creator": None})  # type: ignore[no-untyped-call]
    return Drawing(name, png.getvalue(), pdf.getvalue(), min(1.0, figure.get_figwidth() / WIDTH))


def models_figure(results: Results) -> Figure:
    """The accuracy of every variant with intervals over seeds, and published numbers as hollow marks."""
    return _styled(results, lambda: draw_models(models_info(results)))


def curves_figure(results: Results) -> Figure:
    """Accuracy and loss against epoch, training and validation, for every variant."""
    return _styled(results, lambda: draw_curves(curves_info(results)))


def ablation_figure(results: Results) -> Figure:
    """Differences to the baseline with paired intervals over seeds."""
    return _styled(results, lambda: draw_ablation(ablation_info(results)))


def confusion_figure(results: Results, variant: str | None = None) -> Figure:
    """The confusion matrix of a variant (the best on validation), as counts and in percent. Raises LedgerError without predictions."""
    return _styled(results, lambda: draw_confusion(_there(confusion_info(results, variant)).readable()))


def pairs_figure(results: Results, variant: str | None = None) -> Figure:
    """The largest confusions by share of the true class, with intervals over images. Raises LedgerError without predictions."""
    return _styled(results, lambda: draw_pairs(pairs_info(_there(confusion_info(results, variant)))))


def examples_figure(results: Results, variant: str | None = None) -> Figure:
    """Images of the most confused pairs. Raises LedgerError without predictions or images."""
    return _styled(results, lambda: draw_examples(_there(examples_info(results, pairs_info(_there(confusion_info(results, variant)))))))


def overfitting_figure(results: Results) -> Figure:
    """Epochs of lowest validation loss, and the gaps between training and validation. Raises LedgerError without a finished trial."""
    info = overfitting_info(results, curves_info(results))
    return _styled(results, lambda: draw_overfitting(_there(info if info.variants else None)))


def calibration_figure(results: Results) -> Figure:
    """Reliability diagrams of the variants. Raises LedgerError without predictions."""
    return _styled(results, lambda: draw_reliability(_there(calibration_info(results))))


def hard_figure(results: Results, variant: str | None = None) -> Figure:
    """Images that all trainings of a variant (the best on validation) get wrong. Raises LedgerError without two of them or images."""
    info = hard_info(results, variant)
    return _styled(results, lambda: draw_gallery(_there(info.rows if info else None), results.synthetic))


def votes_figure(results: Results) -> Figure:
    """How far people's votes agree with the labels. Raises LedgerError where the ledger holds no votes."""
    return _styled(results, lambda: draw_votes(_there(votes_info(results))))


def search_figure(results: Results) -> Figure:
    """Validation accuracy against each searched field. Raises LedgerError where the study does not search."""
    return _styled(results, lambda: draw_search(_there(search_info(results))))


def fonts_for(results: Results) -> tuple[str, ...]:
    """The fonts that have the letters of all names that figures of these results can show."""
    return families(names_in(results))


def names_in(results: Results) -> list[str]:
    """All names of the user's that figures can show: variants, classes, and searched fields with their values."""
    searched = [f"{name} {value}" for entry in results.plan for name, value in entry["overrides"].items()]
    return [*results.variants, *results.classes, *dict.fromkeys(searched)]


def _styled(results: Results, draw: Callable[[], Figure]) -> Figure:
    with styled(fonts_for(results)):
        return draw()


def _there(info: Info | None) -> Info:
    if info is None:
        raise LedgerError("the ledger does not hold what this figure shows: predictions and images of a finished trial, votes, or a search")
    return info
