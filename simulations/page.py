"""The page about the simulations, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from simulations.scenarios import FACTORIALS, LEDGERS, LIMITS, METRICS

COLUMNS = {
    "seeds": "seeds",
    "images": "images",
    "both": "both",
    "both accuracy": "both, accuracy",
    "both macro_f1": "both, macro-F1",
    "both loss": "both, loss",
    "false difference": "false helps/hurts",
    "wrong sign": "wrong sign",
    "false none": "false no effect",
    "shown": "effect shown",
    "predicted": "predicted",
    "none shown": "no effect shown",
    "none predicted": "predicted ",
}
"""What is measured, and its heading."""


def page(results: dict[str, Any], file: str) -> str:
    """The whole page."""
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    made = (
        f"Made by `python -m simulations --studies {results['studies']}` on {results['date']}, seed {results['seed']}, in "
        f"{results['minutes']:g} minutes ({results['hardware']}; {versions}). The numbers with their Monte-Carlo standard errors and how "
        f"many studies stand behind each are in [simulations/results/{file}](../simulations/results/{file})."
    )
    return "\n".join([INTRODUCTION, made, "", *tables(results)])


def tables(results: dict[str, Any]) -> Iterator[str]:
    """A table for each part, in lines."""
    for part, group in groupby(results["worlds"], key=lambda world: world["part"]):
        worlds = list(group)
        yield from ("", f"## {part}", "", *([TEXTS[part], ""] if part in TEXTS else []))
        yield from _by_name(worlds, SEVERAL[part]) if part in SEVERAL else _by_world(worlds)


def _by_world(worlds: list[dict[str, Any]]) -> Iterator[str]:
    there = {name for world in worlds for name in world["shares"]}
    names = [name for name in COLUMNS if name in there]
    yield _row(
        [
            "world",
            "seeds",
            "images",
            *(COLUMNS[name].strip() if name not in ("seeds", "images", "both") else f"over {name}" for name in names),
        ]
    )
    yield _row(["---", *["--:"] * (len(names) + 2)])
    for world in worlds:
        yield _row(
            [world["name"], world["world"]["seeds"], world["world"]["images"], *(_cell(world["shares"].get(name)) for name in names)]
        )


def _by_name(worlds: list[dict[str, Any]], heading: str) -> Iterator[str]:
    yield _row(["world", "seeds", heading, "over seeds", "over images", "over both", "false difference"])
    yield _row(["---", "--:", "---", *["--:"] * 4])
    for world in worlds:
        for metric in dict.fromkeys(name.split(": ")[0] for name in world["shares"]):
            names = ("seeds", "images", "both", "false difference")
            cells = [_cell(world["shares"].get(f"{metric}: {name}")) for name in names]
            yield _row(
                [world["name"] or "no effect", world["world"]["seeds"], metric.replace("_", "-").replace("class:", "recall of "), *cells]
            )


def _cell(share: dict[str, Any] | None) -> str:
    if share is None:
        return ""
    return f"{100 * share['value']:.1f}" + (f" ± {100 * share['error']:.1f}" if share["error"] else "")


def _row(cells: list[Any]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


SEVERAL = {FACTORIALS: "contrasts", METRICS: "metric"}
"""Parts whose worlds have several lines, and what these are."""

INTRODUCTION = """# Simulations: how often what ferray says is so

Statistics that nobody has checked are opinions. Here, studies are made up in worlds of which the truth is known, judged by the very code
that judges real ones (`ferray.analysis.crossed`, `verdicts`, `per_image`, `ferray.power`; at the end whole ledgers on disk), and counted.
The full suite is `python -m simulations`; `python -m simulations --quick` is the part that runs with the tests. Either ends with an error
if something is not as promised.

**Promised** is: 95 % intervals cover in 93 to 97 % of studies; a family of comparisons without any effect has a false "helps" or "hurts"
in at most 5 %; an effect of at least the margin is called none in at most 5 %; effects show as often as `--plan` predicts.
A run fails where a share is further from this than three Monte-Carlo standard errors.

In a world, a network is right about an image where the sum of the variant's ability, what the seed does (partly to all variants alike,
as seeds are blocks), how easy the image is for every network, how easy it is for this variant, and noise is above zero. The baseline is
right about 70 %; a seed moves it by 0.6 points for itself and 0.6 for its block, unless the table says otherwise; two networks disagree
about a fifth of the images. Effects are planted in the mean over all seeds and images. Numbers are percent of studies ± one Monte-Carlo
standard error, per comparison for intervals, per family for false verdicts. The interval *over seeds* must cover the mean of all
trainings on the drawn images, *over images* what the drawn networks would have on all images, *over both* the planted effect; verdicts
rest on the last.

What the simulations changed: with three seeds, Satterthwaite's degrees of freedom cover as little as 92.2 % where seeds do most and the
images some (96.5 % at the level of 99 % that Holm asks of five comparisons), and taking the larger of several variances covers up to 98 %
or more where seeds do little. The interval over both now weighs the tails of the two t distributions by their shares of the variance
(`Estimate.tail`): between 94.8 and 96.4 % for any mixture of normal seeds and images, at 99 % between 99.0 and 99.6 %. With two seeds
that falls to 92.2 %; two seeds have no verdict, and no interval over both.

What to know besides: where seeds have heavy tails, or a network in twenty collapses in all variants alike, intervals may cover in more
than 97 %: a rare large value makes them wide, which costs power and no false verdict. Among missing trials are studies with two pairs of
seeds, whose intervals over both are too narrow. The interval over both is an estimate without a bias, and so with few seeds it may turn
out narrower than the one over images.
"""

TEXTS = {
    LIMITS: """\
If one variant collapses in one seed of twenty, most studies of five seeds see no collapse, and no method can tell from them what it would
do to the mean: their intervals speak about trainings that do not collapse. Where a collapse is seen, the interval is so wide that nothing
is decided; collapsed networks are remarked on and divergences counted, which is the answer to look at. Near-identical images that nobody
has grouped are taken for more evidence than they are; ferray looks for them, and counts those it finds once.""",
    FACTORIALS: """\
All eight variants of three factors. A false difference is one in a family: the three main effects, the three interactions or the three
Shapley effects, of which those count that are zero in truth.""",
    METRICS: """\
Seven classes, as rare and as hard as those of FER2013; disgust has about 15 images in 1,000. Where no image of a class is told apart
differently by any two networks there is no interval, and no study is counted. A false difference is p < 0.05 of a single metric.""",
    LEDGERS: """\
Three factors, left out one at a time; every trial is written to a ledger and read back, and the claims are judged.""",
}
