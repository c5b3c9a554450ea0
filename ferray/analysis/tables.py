"""The report's tables, and how a table is written as CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass
from pathlib import Path

from ferray.analysis.accuracy import ModelsInfo
from ferray.analysis.confusion import ConfusionInfo, PairsInfo
from ferray.analysis.confusion_rates import FEWEST_IMAGES
from ferray.analysis.details import each_once
from ferray.analysis.results import Results
from ferray.analysis.samples import SearchInfo
from ferray.analysis.votes import KINDS, VotesInfo
from ferray.analysis.wording import count, interval, minutes, plain, represented, setting, summed


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
        """Comma-separated values with a line of column names; a spreadsheet's minus is a hyphen.

        Words that a spreadsheet would take for a formula have an apostrophe before them.
        """
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow([_harmless(name) for name in self.columns])
        for row in self.rows:
            cells = [_harmless(cell) if place in self.words else cell for place, cell in enumerate(row)]
            writer.writerow([cell.replace("\N{MINUS SIGN}", "-") for cell in cells])
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
    printed = [split for split in info.labels if any(model.published[split] is not None for model in info.models)]
    columns = ["variant", "network", "parameters", "seeds"]
    for split in info.labels:
        columns += [f"{info.labels[split]} (%)", "95 % interval"]
        if split in printed:
            columns.append("published")
    columns += ["macro-F1 (%)", "minutes"]
    rows = []
    for model in info.models:
        row = [model.variant, model.network, count(model.parameters), f"{model.finished} of {model.planned}"]
        for split in info.labels:
            row += [plain(model.accuracy[split].mean), interval(model.accuracy[split])]
            if split in printed:
                published = model.published[split]
                row.append("" if published is None else plain(published))
        rows.append((*row, plain(model.macro_f1[info.headline].mean), minutes(model.minutes.mean)))
    caption = (
        "Accuracy of each variant at the epoch selected on validation: mean over the finished seeds with Student's t interval "
        "(within 0 to 100 %), which speaks about the training, not about the choice of the images. "
        f"Macro-F1 is that of the {info.labels[info.headline]} set; minutes are the mean per trial."
    )
    if info.redrawn:
        caption += f" On the {info.labels['validation']} set it speaks about the images as well, which each seed draws anew."
    if info.searched:
        caption += f" {represented(info.samples, info.labels['validation'], is_tuned=info.is_tuned)}"
    if info.missing:
        caption += f" These accuracies are optimistic: epochs are selected on the {info.labels['validation']} set, and there is no other."
    if info.has_published and not info.comparable:
        caption += " Published numbers are of a longer or fuller training than this study's."
    return Table("models", caption, tuple(columns), tuple(rows), frozenset({0, 1}))


def pairs_table(info: PairsInfo) -> Table:
    """The ordered pairs of classes of which the largest share of the true class is confused."""
    columns = ("true", "predicted", "share of the true class (%)", "95 % interval", "count", "images of the true class", "seeds")
    rows = tuple(
        (pair.true, pair.predicted, plain(pair.share.mean), interval(pair.share), count(pair.count), count(pair.images), str(info.seeds))
        for pair in info.pairs
    )
    caption = (
        f"The largest confusions of {info.variant} by share of the true class, on the {info.label} set, {summed(info.seeds)}. "
        f"Intervals are over seeds and images together, each image counted once. Classes of fewer than {FEWEST_IMAGES} images come last."
    )
    return Table("confused_pairs", caption, columns, rows, frozenset({0, 1}))


def confusion_table(info: ConfusionInfo) -> Table:
    """The whole matrix as counts: a row per true class, a column per answer."""
    columns = ("true", *(f"{name} (answered)" for name in info.classes), "images")
    rows = tuple(
        (name, *(str(int(number)) for number in row), str(info.images[name])) for name, row in zip(info.classes, info.counts, strict=True)
    )
    caption = f"Confusion matrix of {info.variant} on the {info.label} set, {summed(len(info.seeds))}; images are counted once."
    return Table("confusion", caption, columns, rows)


def classes_table(info: ConfusionInfo) -> Table:
    """How well each class is recognized, the worst first; classes without images are left out."""
    columns = ("class", "images", "recognized (%)", "95 % interval", "of its answers right (%)")
    answered = dict(zip(info.classes, info.counts.sum(axis=0), strict=True))
    rows = []
    for one in sorted(info.recalls, key=lambda one: one.share.mean):
        precise = 100 * one.count / answered[one.true] if answered[one.true] else math.nan
        rows.append((one.true, count(one.images), plain(one.share.mean), interval(one.share), plain(precise)))
    caption = (
        f"Each class as {info.variant} knows it on the {info.label} set, {summed(len(info.seeds))}, the worst first: the share of its "
        "images that are recognized, with its interval over seeds and images together, as of confusions, and the share of answers with "
        "this class that are right (n/a where it is never answered)."
    )
    return Table("classes", caption, columns, tuple(rows))


def counts_table(results: Results) -> Table:
    """How many images each split has of each class."""
    counts: dict[str, dict[str, int]] = {split: dict(own) for split, own in results.data["counts"].items()}
    names = {"train": "training", **results.split_labels}
    shown = [split for split in counts if split in names]
    rows = [(name, *(count(counts[split].get(name, 0)) for split in shown)) for name in results.classes]
    rows.append(("all", *(count(sum(counts[split].values())) for split in shown)))
    height, width = results.data["image_shape"][1:]
    colour = "grey" if results.data["image_shape"][0] == 1 else "colour"
    caption = (
        f"Images of the data set {results.data['name']} by class and split; the networks see {colour} images of {height} x {width} pixels."
    )
    return Table("data", caption, ("class", *(names[split] for split in shown)), tuple(rows))


def votes_table(info: VotesInfo) -> Table:
    """Every variant's accuracy by what the vote says about the label."""
    columns = ("variant", "trained on votes", "agrees (%)", "95 % interval", "disagrees (%)", "95 % interval", "open (%)", "seeds")
    rows = []
    for one in info.variants:
        agree, disagree, still_open = (one.accuracy[kind] for kind in KINDS)
        sure = [plain(agree.mean), interval(agree), plain(disagree.mean), interval(disagree), plain(still_open.mean)]
        rows.append((one.variant, "yes" if one.soft else "no", *sure, str(max(own.n for own in one.accuracy.values()))))
    numbers = [f"{info.images[kind]:,}" for kind in KINDS]
    caption = (
        f"Accuracy against the labels of the {info.label} set, on the {numbers[0]} images whose label the vote agrees with, the "
        f"{numbers[1]} where it disagrees, and the {numbers[2]} that no class won alone: means over seeds, with t intervals over them."
    )
    return Table("votes", caption, columns, tuple(rows), frozenset({0, 1}))


def search_table(info: SearchInfo, top: int = 20) -> Table:
    """The samples of highest validation accuracy."""
    columns = ("variant", "sample", *info.fields, f"{info.label} (%)", "95 % interval", "seeds", "chosen")
    rows = tuple(
        (
            one.variant,
            str(one.sample),
            *(setting(one.values[name]) if name in one.values else "" for name in info.fields),
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
    labels = [f"{label} (%)" for label in results.split_labels.values()]
    accuracies = [f"{split}_accuracy" for split in results.splits]
    trials = each_once(results)
    is_tuned = bool((trials["phase"] == "tuning").any())
    columns = ("variant", "sample", "seed", "status", "selected epoch", "epochs", *labels, "minutes", "key")
    rows = []
    fields = ["phase", "variant", "sample", "seed", "status", "selected_epoch", "epochs", "seconds", "key", *accuracies]
    trials = trials[fields].astype({"selected_epoch": float})
    for phase, variant, sample, seed, status, selected, epochs, seconds, key, *shares in trials.itertuples(index=False, name=None):
        numbers = [*(plain(100 * share) for share in shares), minutes(seconds / 60)]
        row = (str(sample), str(seed), str(status), count(selected), count(epochs), *numbers, str(key))
        rows.append((str(variant), str(phase), *row) if is_tuned else (str(variant), *row))
    caption = "All planned trials. Accuracies are those of the epoch selected on validation."
    words = frozenset({0, 3, len(columns) - 1})
    if is_tuned:
        columns, words = ("variant", "phase", *columns[1:]), frozenset({0, *(place + 1 for place in words)})
        caption += " Trials whose own best settings are the baseline's are final and frozen at once."
    return Table("trials", caption, columns, tuple(rows), words)


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _markdown(cell: str) -> str:
    """Escapes what Markdown reads as HTML, mathematics, emphasis, a link, code or the end of a cell."""
    return re.sub(r"[\\|<>*`$\[\]]|&(?=#?\w+;)", r"\\\g<0>", " ".join(cell.splitlines()))


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
    "|": r"\textbar{}",
    "[": "{[}",  # after the end of a row it would begin a length
    "*": "{*}",
    "\n": " ",
    "\N{MINUS SIGN}": "$-$",
    "\N{RIGHTWARDS ARROW}": r"$\rightarrow$",
}


def _latex(cell: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in cell)
