"""Overfitting: how much better the training images fare, and from which epoch on, in how many trainings, the validation loss rises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import stats

from ferray.analysis.answers import fates, spoken
from ferray.analysis.claims import Claim
from ferray.analysis.curves import FEWEST, RISE, CurvesInfo, Process
from ferray.analysis.results import Results
from ferray.analysis.statistics import Estimate, clopper_pearson, mean_interval
from ferray.analysis.style import BLUE, GREY, ORANGE, hide_y_marks, new_figure, note_synthetic, shortened
from ferray.analysis.tables import Table
from ferray.analysis.verdicts import holm
from ferray.analysis.wording import interval, listed, plain, plural, probability, signed

if TYPE_CHECKING:
    from ferray.analysis.page import Page

SELECTED, LAST = "selected", "last"
NAMED = 6
"""Variants that the sentence on trainings that were still improving names."""
OFTEN = 0.5
"""Share of a variant's trainings from which it is told that they were still improving when they ended."""
UNITS = {"accuracy": "points", "loss": "nats"}
PESSIMISTIC = (
    "Training figures are running ones, taken while the weights move, with augmentation and dropout on: they are pessimistic, so that the "
    "gap is a lower bound of what the finished network would show, and gaps of variants with and without augmentation or dropout are not "
    "comparable."
)


@dataclass(frozen=True)
class Comparison:
    """In how many of the seeds that a variant and the baseline both finished the validation loss rises in which of them."""

    pairs: int
    only_variant: int
    only_baseline: int
    p: float  # McNemar's exact test; NaN without a seed that tells them apart
    p_adjusted: float  # Holm, over the variants


@dataclass(frozen=True)
class Overfitting:
    """One variant over its finished trainings; gaps are positive where the training images fare better."""

    variant: str
    spoken: str  # what a sentence about it begins with
    process: Process
    fates: Mapping[str, int]
    rising: Estimate | None  # share of the trainings, with the exact interval; None after too few epochs to tell
    risen: tuple[int, ...]  # of each training whose loss rises, the epoch after which it does
    gaps: Mapping[tuple[str, str], Estimate]  # by metric and epoch (``selected``, ``last``), t over seeds
    comparison: Comparison | None  # None for the baseline, and where no seed has both

    @property
    def n(self) -> int:
        """How many trainings it is told of."""
        return len(self.process.trainings)

    @property
    def improving(self) -> tuple[int, int]:
        """In how many of how many trainings the selected epoch is the last; those of a single epoch are left out."""
        told = [one.ends_best for one in self.process.trainings if one.ends_best is not None]
        return sum(told), len(told)


@dataclass(frozen=True)
class OverfittingInfo:
    """Every variant with a finished training, in the study's order."""

    baseline: str
    variants: tuple[Overfitting, ...]
    label: str  # of the validation split
    synthetic: bool


def overfitting_info(results: Results, curves: CurvesInfo) -> OverfittingInfo:
    """What the curves say about overfitting, variant by variant, and each variant beside the baseline at the same seeds."""
    processes = {one.variant: one for one in curves.processes}
    compared = {name: _compare(one, processes.get(results.baseline)) for name, one in processes.items() if name != results.baseline}
    counted = {name: one for name, one in compared.items() if one is not None}
    adjusted = dict(zip(counted, holm([one[3] for one in counted.values()]), strict=True))
    variants = []
    for name, process in processes.items():
        rising = process.rising
        told = sum(one.rises is not None for one in process.trainings)
        variants.append(
            Overfitting(
                variant=name,
                spoken=spoken(results, name),
                process=process,
                fates=fates(results, name),
                rising=None if rising is None else clopper_pearson(len(rising), told),
                risen=tuple(one.lowest for one in rising or ()),
                gaps={(metric, which): _gap(process, metric, which) for metric in UNITS for which in (SELECTED, LAST)},
                comparison=Comparison(*counted[name], adjusted[name]) if name in counted else None,
            )
        )
    return OverfittingInfo(results.baseline, tuple(variants), curves.labels["validation"], results.synthetic)


def _gap(process: Process, metric: str, which: str) -> Estimate:
    gap = mean_interval([one.gaps[metric, which] for one in process.trainings if (metric, which) in one.gaps])
    return gap.within(-100, 100) if metric == "accuracy" else gap


def _compare(own: Process, baseline: Process | None) -> tuple[int, int, int, float] | None:
    """Pairs, rises in the variant only, in the baseline only, and the exact p-value of McNemar (1947, Psychometrika 12)."""
    other = {one.seed: one.rises for one in baseline.trainings if one.rises is not None} if baseline else {}
    pairs = [(one.rises, other[one.seed]) for one in own.trainings if one.rises is not None and one.seed in other]
    if not pairs:
        return None
    here, there = sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)
    p = float(stats.binomtest(here, here + there).pvalue) if here + there else float("nan")
    return len(pairs), here, there, p


def overfitting_claims(info: OverfittingInfo) -> list[Claim]:
    """For each variant in how many trainings the loss rises and its four gaps, and for all but the baseline how that compares."""
    claims = []
    for one in info.variants:
        keys = _keys(info, one.variant)
        counts = {**one.fates, "trainings": one.n}
        start = f"overfitting/{one.variant}/validation"
        if one.rising is not None:
            claims.append(
                Claim(
                    name=f"{start}/rising-loss", kind="overfitting", subject=one.variant, split="validation", metric="rising loss",
                    unit="share", estimates={"seeds": one.rising}, methods={"seeds": "exact binomial interval over trainings"},
                    keys=keys, sentence=rising_sentence(one, info), decided_by="seeds", counts={**counts, "rising": len(one.risen)},
                    details={"epochs": one.risen, "epoch": float(np.median(one.risen)) if one.risen else None, "rise": RISE},
                )
            )  # fmt: skip
        for (metric, which), gap in one.gaps.items():
            if gap.n:
                claims.append(
                    Claim(
                        name=f"{start}/{metric}-gap/{which}", kind="overfitting", subject=one.variant, split="validation",
                        metric=f"{metric} gap", unit=UNITS[metric], estimates={"seeds": gap}, methods={"seeds": "t over seeds"},
                        keys=keys, sentence=_gap_sentence(one, info, metric, which), decided_by="seeds", counts=counts,
                        caveats=(PESSIMISTIC,), details={"epoch": which},
                    )
                )  # fmt: skip
        told = one.comparison
        if told is not None:
            claims.append(
                Claim(
                    name=f"{start}/rising-loss-beside-the-baseline", kind="overfitting", subject=one.variant, split="validation",
                    metric="rising loss in this variant only", unit="share",
                    estimates={"seeds": clopper_pearson(told.only_variant, told.pairs)},
                    methods={"seeds": "exact binomial interval over paired seeds; McNemar's exact test for p"},
                    keys=(*keys, *_keys(info, info.baseline)), sentence=_comparison_sentence(one, told, info.baseline),
                    compared=(info.baseline, one.variant),
                    family="overfitting/rising-loss", decided_by="seeds", p_adjusted=told.p_adjusted,
                    counts={"paired": told.pairs, "only variant": told.only_variant, "only baseline": told.only_baseline},
                    details={"p": told.p},
                )
            )  # fmt: skip
    return claims


def _keys(info: OverfittingInfo, variant: str) -> tuple[str, ...]:
    return tuple(training.key for one in info.variants if one.variant == variant for training in one.process.trainings)


def rising_sentence(one: Overfitting, info: OverfittingInfo) -> str:
    """As in: Without augmentation the validation loss rises after epoch 6 (median; 5 to 8) in 3 of 3 trainings."""
    lost = [f"{one.fates[status]} {status}" for status in ("diverged", "failed") if one.fates.get(status)]
    beside = f"; besides, {listed(lost)}, with no end to judge" if lost else ""
    rising = one.rising or clopper_pearson(0, 0)
    sure = f"{plural(rising.n, 'training')} (95 % interval of the share {interval(rising.scaled(100), 0)} %)"
    if not one.risen:
        return f"{one.spoken}: the loss on the {info.label} set rises in 0 of {sure}{beside}."
    median, low, high = float(np.median(one.risen)), min(one.risen), max(one.risen)
    spread = f" (median; {low} to {high})" if low < high else ""
    after = f"after epoch {median:g}{spread} in {len(one.risen)} of {sure}"
    return f"{one.spoken}: the loss on the {info.label} set rises {after}{beside}."


def _gap_sentence(one: Overfitting, info: OverfittingInfo, metric: str, which: str) -> str:
    gap, unit = one.gaps[metric, which], UNITS[metric]
    digits = 1 if metric == "accuracy" else 2
    better = "higher" if (metric == "accuracy") == (gap.mean > 0) else "lower"
    sure = f", 95 % interval {interval(gap, digits, sign=True)}" if gap.has_interval else ""
    where = f"at the {which} epoch the {metric} on the training images is {plain(abs(gap.mean), digits)} {unit} {better}"
    return f"{one.spoken}: {where} than on the {info.label} set (gap {signed(gap.mean, digits)}{sure}, n = {gap.n})."


def _comparison_sentence(one: Overfitting, told: Comparison, baseline: str) -> str:
    adjusted = f"; exact McNemar p = {probability(told.p)}, adjusted {probability(told.p_adjusted)}" if told.p == told.p else ""
    only = f"the validation loss rises in {told.only_variant} only so and in {told.only_baseline} only with {baseline}"
    return f"{one.spoken}: of {plural(told.pairs, 'paired seed')}, {only}{adjusted}."


def improving_sentences(info: OverfittingInfo) -> list[str]:
    """That trainings were still improving when they ended, where half of a variant's or more were; empty elsewhere.

    Augmentation and regularization pay off late, so that a training cut short tells less of what they are worth.
    """
    counts = {one.variant: one.improving for one in info.variants}
    often = [f"{last} of {n} of {name}" for name, (last, n) in counts.items() if n and last >= OFTEN * n]
    if not often:
        return []
    last, n = (sum(numbers) for numbers in zip(*counts.values(), strict=True))
    more = [f"at least half of {plural(len(often) - NAMED, 'more variant')}"] if len(often) > NAMED else []
    named = f" ({'; '.join([*often[:NAMED], *more])})" if len(counts) > 1 else ""
    these = "this one was" if last == 1 else "these were"
    return [
        f"The selected epoch is the last in {last} of {plural(n, 'training')}{named}: {these} still improving on the {info.label} set, "
        "and longer training may change what augmentation and regularization are worth."
    ]


def section(page: Page, results: Results, curves: CurvesInfo) -> list[Claim]:
    """Adds the section on overfitting and gives its claims; without a finished training there is neither."""
    info = overfitting_info(results, curves)
    claims = overfitting_claims(info)
    if not info.variants:
        return claims
    page.section("overfitting", "Overfitting")
    told = [claim for claim in claims if claim.metric.startswith("rising loss")]
    page.enumerate(
        [claim.sentence for claim in told if claim.compared is None or claim.estimates["seeds"].mean or claim.counts["only baseline"]]
    )
    page.say(improving_sentences(info))
    if told:
        page.say(
            [
                f"A loss counts as rising where it stays, through the last tenth of the epochs (two at least), more than {100 * RISE:.0f} "
                f"% above its minimum on the {info.label} set; it rises after the epoch of that minimum.",
                "The share's interval is the exact one of Clopper and Pearson over trainings.",
                "Few seeds cannot tell variants apart by such counts: with five pairs McNemar's exact p is 0.062 at the least.",
            ]
        )
    else:
        page.say([f"Whether a loss rises again is told of trainings of {FEWEST} epochs or more."])
    page.show(
        "overfitting",
        lambda: draw_overfitting(info),
        "Left: the epoch of lowest loss on the "
        f"{info.label} set, a dot for each training, filled where the loss rises after it. Middle and right: how much better the training "
        "images fare at the selected epoch (hollow) and at the last (filled), means over n seeds with 95 % t intervals.",
    )
    page.say([PESSIMISTIC])
    page.tabulate(overfitting_table(info))
    return claims


def overfitting_table(info: OverfittingInfo) -> Table:
    """Every variant's rising trainings and gaps."""
    columns = ["variant", "trainings", "diverged", "loss rises in", "95 % interval (%)", "after epoch", "range", "last is best in"]
    for metric, unit in UNITS.items():
        for which in (SELECTED, LAST):
            columns += [f"{metric} gap, {which} ({unit})", "95 % interval"]
    rows = []
    for one in info.variants:
        median = f"{np.median(one.risen):g}" if one.risen else ""
        spread = f"{min(one.risen)} to {max(one.risen)}" if one.risen else ""
        rise = (
            ["too few epochs", ""] if one.rising is None else [f"{len(one.risen)} of {one.rising.n}", interval(one.rising.scaled(100), 0)]
        )
        last, several = one.improving
        row = [one.variant, f"{one.n} of {one.fates['planned']}", str(one.fates.get("diverged", 0)), *rise, median, spread]
        row.append(f"{last} of {several}" if several else "single epochs")
        for metric in UNITS:
            for which in (SELECTED, LAST):
                gap, digits = one.gaps[metric, which], 1 if metric == "accuracy" else 2
                row += [signed(gap.mean, digits), interval(gap, digits, sign=True)]
        rows.append(tuple(row))
    caption = (
        f"Overfitting by variant. The loss is that on the {info.label} set; the last epoch is best where it is the selected one. Gaps say "
        "how much better the training images fare (accuracy: training minus validation; loss: validation minus training), with t intervals "
        "over seeds; training figures are pessimistic."
    )
    return Table("overfitting", caption, tuple(columns), tuple(rows))


def draw_overfitting(info: OverfittingInfo) -> Figure:
    """Three panels with a line per variant: epochs of lowest validation loss, the gap in accuracy, the gap in loss."""
    names = [shortened(one.variant, 24) for one in info.variants]
    figure = new_figure(1.15 + sum(0.34 + 0.13 * name.count("\n") for name in names))
    panels = figure.subplots(1, 3, sharey=True)
    for axes in panels:
        axes.grid(axis="x")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        hide_y_marks(axes)
    for place, one in enumerate(info.variants):
        trainings = one.process.trainings
        offsets = np.linspace(-0.22, 0.22, len(trainings)) if len(trainings) > 1 else [0.0]
        panels[0].scatter(
            [training.lowest for training in trainings],
            [place + offset for offset in offsets],
            s=16,
            c=[BLUE if training.rises else "white" for training in trainings],
            edgecolors=[GREY if training.rises is None else BLUE for training in trainings],
            linewidths=0.9,
            clip_on=False,
            zorder=2,
        )
        for axes, metric in zip(panels[1:], UNITS, strict=True):
            for which, offset in ((SELECTED, -0.13), (LAST, 0.13)):
                gap = one.gaps[metric, which]
                if gap.has_interval:
                    axes.plot([gap.low, gap.high], [place + offset] * 2, color=ORANGE, linewidth=1.3)
                face = ORANGE if which == LAST else "white"
                axes.plot([gap.mean], [place + offset], "o", markersize=4.5, mfc=face, mec=ORANGE, mew=0.9)
    for axes in panels[1:]:
        axes.axvline(0, color=GREY, linewidth=0.9)
    longest = max(training.epochs for one in info.variants for training in one.process.trainings)
    panels[0].set_xlim(0.5, longest + 0.5)
    panels[0].xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    panels[0].set_xlabel("epoch of lowest validation loss")
    panels[1].set_xlabel("gap in accuracy (points)")
    panels[2].set_xlabel("gap in loss (nats)")
    panels[0].set_yticks(range(len(names)), [f"{name} (n={one.n})" for name, one in zip(names, info.variants, strict=True)])
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    note_synthetic(figure, info.synthetic)
    return figure
