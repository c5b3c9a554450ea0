"""The report's tables, and how a table is written as CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from ferray.analysis.ablation import AblationInfo
from ferray.analysis.accuracy import ModelsInfo
from ferray.analysis.confusion import PairsInfo
from ferray.analysis.results import SPLITS, Results
from ferray.analysis.samples import SearchInfo
from ferray.analysis.wording import count, factor_label, interval, minutes, plain, probability, setting, signed, split_label, summed


@dataclass(frozen=True)
class Table:
    """Cells ready to print, what the table says, and which columns hold words (the others are set flush right)."""

    name: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: frozenset[int] = frozenset({0})

    def save(self, folder: Path) -> None:
        """Writes ``<name>.csv``, ``<name>.md`` and ``<name>.tex``."""
        folder.mkdir(parents=True, exist_ok=True)
        for ending, text in (("csv", self.csv()), ("md", self.markdown()), ("tex", self.latex())):
            (folder / f"{self.name}.{ending}").write_text(text, encoding="utf-8")

    def csv(self) -> str:
        """Comma-separated values with a line of column names; a spreadsheet's minus is a hyphen."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([[cell.replace("\N{MINUS SIGN}", "-") for cell in row] for row in self.rows])
        return buffer.getvalue()

    def markdown(self) -> str:
        """A pipe table."""
        rules = ["---" if place in self.words else "---:" for place in range(len(self.columns))]
        lines = [self.columns, rules, *self.rows]
        return "".join(f"| {' | '.join(_markdown(cell) for cell in line)} |\n" for line in lines)

    def latex(self) -> str:
        """A ``table`` environment with the rules of the booktabs package."""
        align = "".join("l" if place in self.words else "r" for place in range(len(self.columns)))
        body = [" & ".join(_latex(cell) for cell in line) + r" \\" for line in (self.columns, *self.rows)]
        lines = [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{_latex(self.caption)}}}",
            rf"  \label{{tab:{self.name}}}",
            rf"  \begin{{tabular}}{{{align}}}",
            r"    \toprule",
            f"    {body[0]}",
            r"    \midrule",
            *(f"    {line}" for line in body[1:]),
            r"    \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"


def models_table(info: ModelsInfo) -> Table:
    """Every variant with its size, seeds, accuracies, macro-F1, published numbers where there are any, and time."""
    printed = [split for split in SPLITS if any(model.published[split] is not None for model in info.models)]
    columns = ["variant", "network", "parameters", "seeds"]
    for split in SPLITS:
        columns += [f"{info.labels[split]} (%)", "95 % interval"]
        if split in printed:
            columns.append("published")
    columns += ["macro-F1 (%)", "minutes"]
    rows = []
    for model in info.models:
        row = [model.variant, model.network, count(model.parameters), f"{model.finished} of {model.planned}"]
        for split in SPLITS:
            row += [plain(model.accuracy[split].mean), interval(model.accuracy[split])]
            if split in printed:
                published = model.published[split]
                row.append("" if published is None else plain(published))
        rows.append((*row, plain(model.macro_f1["test"].mean), minutes(model.minutes.mean)))
    caption = (
        "Accuracy of each variant at the epoch selected on validation: mean over the finished seeds with Student's t interval, "
        "which speaks about the training, not about the choice of the images. "
        f"Macro-F1 is that of the {info.labels['test']} set; minutes are the mean per trial."
    )
    if info.has_published and not info.comparable:
        caption += " Published numbers are of a longer or fuller training than this study's."
    return Table("models", caption, tuple(columns), tuple(rows), frozenset({0, 1}))


def ablation_table(info: AblationInfo) -> Table:
    """What each variant removes and what that changes, against the baseline and against the step before."""
    columns = ("variant", "removed", "split", "difference", "95 % interval", "p", "step alone", "95 % interval over images", "pairs")
    rows = []
    for removal in info.removals:
        for split in SPLITS:
            difference, images = removal.difference[split], removal.images[split]
            step = signed(removal.step[split].mean)
            numbers = [signed(difference.mean), interval(difference, sign=True), probability(difference.p), step]
            over_images = interval(images, sign=True) if images.has_interval else "n/a"
            names = [removal.variant, ", ".join(factor_label(name) for name in removal.removed), info.labels[split]]
            rows.append((*names, *numbers, over_images, f"{difference.n} of {removal.planned}"))
    caption = (
        f"Accuracy of each removal minus that of {info.baseline}, in points, paired by seed. Interval and p-value are of the paired t test "
        "over seeds, not corrected for several comparisons; they speak about other trainings. The step alone is the difference to the "
        "variant before it on the path. The interval over images is a bootstrap of the image-by-image difference of these very networks; "
        "it speaks about other images."
    )
    return Table("ablation", caption, columns, tuple(rows), frozenset({0, 1, 2}))


def pairs_table(info: PairsInfo) -> Table:
    """The most confused ordered pairs of classes."""
    columns = ("true", "predicted", "share of the true class (%)", "95 % interval", "count", "images of the true class", "seeds")
    rows = tuple(
        (pair.true, pair.predicted, plain(pair.share.mean), interval(pair.share), count(pair.count), count(pair.share.n), str(pair.seeds))
        for pair in info.pairs
    )
    caption = (
        f"The most confused classes of {info.variant} on the {info.label} set, {summed(info.seeds)}. "
        "Wilson's interval is over the images of the true class, each counted once."
    )
    return Table("confused_pairs", caption, columns, rows, frozenset({0, 1}))


def search_table(info: SearchInfo, top: int = 20) -> Table:
    """The samples of highest validation accuracy."""
    columns = ("variant", "sample", *info.fields, f"{info.label} (%)", "95 % interval", "seeds", "chosen")
    rows = tuple(
        (
            one.variant,
            str(one.sample),
            *(setting(one.values.get(name)) for name in info.fields),
            plain(one.validation.mean),
            interval(one.validation),
            f"{one.validation.n} of {one.planned}",
            "yes" if one.chosen else "",
        )
        for one in info.samples[:top]
    )
    caption = (
        f"The best {len(rows)} of {len(info.samples)} samples by mean accuracy on the {info.label} set, on which they are chosen: "
        "the number of a chosen sample is therefore optimistic."
    )
    return Table("search", caption, columns, rows, frozenset({0}))


def trials_table(results: Results) -> Table:
    """Every planned trial with its state, result and key."""
    name = str(results.data["name"])
    labels = [f"{split_label(name, split)} (%)" for split in SPLITS]
    columns = ("variant", "sample", "seed", "status", "selected epoch", "epochs", *labels, "minutes", "key")
    rows = []
    fields = ["variant", "sample", "seed", "status", "selected_epoch", "epochs", "validation_accuracy", "test_accuracy", "seconds", "key"]
    trials = results.trials[fields].astype({"selected_epoch": float})
    for variant, sample, seed, status, selected, epochs, validation, test, seconds, key in trials.itertuples(index=False):
        numbers = [plain(100 * validation), plain(100 * test), minutes(seconds / 60)]
        rows.append((str(variant), str(sample), str(seed), str(status), count(selected), count(epochs), *numbers, str(key)))
    caption = "All planned trials. Accuracies are those of the epoch selected on validation."
    return Table("trials", caption, columns, tuple(rows), frozenset({0, 3, 9}))


def _markdown(cell: str) -> str:
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "\n": " ",
    "\N{MINUS SIGN}": "$-$",
    "\N{RIGHTWARDS ARROW}": r"$\rightarrow$",
}


def _latex(cell: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in cell)
