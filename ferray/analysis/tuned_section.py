"""The report's section on a tuned ablation: its sentences, figures and tables."""

from __future__ import annotations

from ferray.analysis.claims import Claim
from ferray.analysis.effect_sentences import brackets, equal, uncorrected
from ferray.analysis.page import Page
from ferray.analysis.results import Results
from ferray.analysis.tables import Table
from ferray.analysis.tuned import Retuned, TunedInfo, tuned_info
from ferray.analysis.tuned_claims import order_sentence, subject, tuned_claims, verdict_words
from ferray.analysis.tuned_figures import CURVES, draw_best_of, draw_retuned, subject_label
from ferray.analysis.verdicts import FEWEST_SEEDS
from ferray.analysis.wording import interval, plain, plural, points, probability, signed


def tuning(page: Page, results: Results) -> list[Claim]:
    """Adds the section on a tuned ablation, and gives its claims; nothing where the study was not tuned."""
    info = tuned_info(results)
    if info is None:
        return []
    claims = tuned_claims(results)
    page.section("tuning", "Tuning")
    page.say(protocol_sentences(info))
    if any(one.final is not None for one in info.retuned):
        page.enumerate(retuned_sentences(info))
        page.say(uncorrected(claim for claim in claims if claim.split == info.split and claim.kind == "tuned"))
        same = [one.same for one in info.retuned]
        told = [found.both for one in info.retuned for found in (one.frozen, one.final, None if one.same else one.change) if found]
        alike = [both.is_point for both in told]
        page.show(
            "retuned",
            lambda: draw_retuned(info),
            f"Differences to {info.baseline}, positive where the network is better with what is named at the left. Hollow: at the settings "
            "that were best for the baseline. Filled: each variant at its own best settings. Right: the one minus the other, orange where "
            "it is told from zero. Large dots are means over seeds, small ones the seeds, lines 95 % intervals over seeds and images."
            + (" Where tuning chose the baseline's settings for a variant too, nothing can change." if any(same) else "")
            + (" 'All the same' is a difference that all seeds and images show alike, without an interval." if any(alike) else ""),
        )
        page.tabulate(retuned_table(info))
    page.say(search_sentences(info))
    if info.searches[0].curve is not None:
        page.enumerate(order_sentences(info))
        page.show("best_of_n", lambda: draw_best_of(info), _curves_caption(info))
    page.tabulate(searches_table(info))
    return claims


def protocol_sentences(info: TunedInfo) -> list[str]:
    """How settings were chosen, and what the two differences ask."""
    draws = max((sum(one.counts.values()) for one in info.searches), default=0)
    told = [
        f"Every variant had the same budget of {plural(draws, 'draw')} of settings, the same for all, tried on "
        f"{plural(info.seeds, 'seed')} each; the best on the {info.validation} set was chosen, and trained again on fresh seeds, which the "
        "differences below are of.",
        "Frozen is a variant at the settings that were best for the baseline: what taking something away does to a network that was tuned "
        "with it. Re-tuned is a variant at its own best settings: whether other settings can take the place of what was taken away.",
    ]
    if not any(one.final is not None for one in info.retuned):
        told.append("No seed has finished on all sides yet.")
    return told


def retuned_sentences(info: TunedInfo) -> list[str]:
    """Both differences of each variant, and whether they disagree."""
    return [_retuned(info, one) for one in info.retuned]


def _retuned(info: TunedInfo, one: Retuned) -> str:
    if one.frozen is None or one.final is None or one.change is None or one.decisions is None:
        return f"{subject(one)}: no seed has finished on all sides ({info.baseline}, {one.variant} frozen and re-tuned)."
    frozen, final, change = one.frozen.both, one.final.both, one.change.both
    judged = len(one.seeds) >= FEWEST_SEEDS
    words = {name: f" ({verdict_words(one, name, info.smallest_effect)})" if judged else "" for name in ("frozen", "final")}
    name = f"{subject(one)} ({one.variant})" if one.is_removal else one.variant
    told = f"{name}: frozen {signed(frozen.mean)} points {brackets(frozen)}{words['frozen']}"
    if one.same:
        return f"{told}; tuning chose the baseline's settings for it too, so that re-tuned it is the same."
    told += f", re-tuned {signed(final.mean)} {brackets(final)}{words['final']}; the change is {signed(change.mean)} {brackets(change)}"
    if not judged:
        return f"{told}. {plural(len(one.seeds), 'seed')}, too few for a verdict."
    if one.verdict("change") is None:
        return f"{told}, the same for all seeds and images, so that there is no spread to judge it by."
    told += f", p {equal(one.decisions['change'].p)} (Holm)"
    if one.is_changed:
        return f"{told}: the two disagree."
    if one.verdicts_differ:
        return f"{told}: the verdicts differ, but not certainly the effects."
    return f"{told}: no disagreement."


def search_sentences(info: TunedInfo) -> list[str]:
    """What the curves of the best of n are, and what becomes of draws that were not trained in full."""
    told = [
        f"How good the best of n draws is to be expected to be on the {info.validation} set says what a budget buys (the mean best of all "
        "subsets of n draws; Dodge et al. 2019, Tang et al. 2020). The best was chosen on these very images, so that such accuracies are "
        "optimistic; what they are for is the comparison.",
    ]
    stopped = sum(one.counts["stopped"] for one in info.searches)
    diverged = sum(one.counts["diverged"] for one in info.searches)
    out = sum(one.counts["left out"] for one in info.searches)
    if stopped:
        told.append(
            f"{plural(stopped, 'draw')} {_was(stopped)} stopped early ({info.scheduler}). Leaving them out would make a search look better "
            "than it is, since the worse draws are stopped; so each counts with the best accuracy that it had reached, which makes the "
            "curve a lower bound, and at most with the best accuracy of its variant trained in full, which makes the dashed upper bound."
        )
    if diverged:
        told.append(
            f"{plural(diverged, 'draw')} diverged, and {'counts' if diverged == 1 else 'count'} as always answering the largest class "
            f"({plain(info.majority)} %)."
        )
    if out:
        told.append(f"{plural(out, 'draw')} {_was(out)} left out, since a trial of it failed or has not ended.")
    return told


def order_sentences(info: TunedInfo) -> list[str]:
    """From which budget on it is clear whose best draw is better, for each variant against the baseline."""
    return [order_sentence(info, one) for one in info.searches[1:] if one.curve is not None]


def retuned_table(info: TunedInfo) -> Table:
    """The frozen and the re-tuned difference of each variant, and the one minus the other."""
    columns = (
        "compared",
        "frozen",
        "95 % interval",
        "verdict",
        "re-tuned",
        "95 % interval",
        "verdict",
        "change",
        "95 % interval",
        "p",
        "seeds",
    )
    rows = []
    for one in info.retuned:
        row = [subject_label(one)]
        for name in ("frozen", "final", "change"):
            found = getattr(one, name)
            row += [signed(found.both.mean), interval(found.both, sign=True)] if found is not None else ["n/a", "n/a"]
            decision = one.decisions[name] if one.decisions is not None and len(one.seeds) >= FEWEST_SEEDS else None
            if name == "change":
                row.append(probability(decision.p) if decision is not None and not one.same else "")
            else:
                row.append(verdict_words(one, name, info.smallest_effect) if decision is not None else "")
        rows.append((*row, f"{len(one.seeds)} of {one.planned}"))
    caption = (
        f"Differences to {info.baseline} in accuracy on the {info.label} set in points, at the settings that were best for the baseline "
        "(frozen) and at each variant's own (re-tuned), positive where the network is better with what is named. Only seeds that finished "
        "on all sides count. Intervals are over seeds and images (crossed random factors); verdicts and p-values of the change are "
        "adjusted by Holm, over the factors and over the free variants each, and an effect certainly smaller than "
        f"{points(info.smallest_effect)} is none."
    )
    return Table("retuned", caption, columns, tuple(rows), frozenset({0, 3, 6}))


def searches_table(info: TunedInfo) -> Table:
    """What became of each variant's draws, and the expected best of them."""
    columns = ("variant", "draws", "in full", "stopped", "diverged", "left out", "best (%)", "best of n", "expected (%)", "95 % interval")
    rows = []
    for one in info.searches:
        row = [one.variant, str(sum(one.counts.values()))]
        row += [str(one.counts[name]) for name in ("finished", "stopped", "diverged", "left out")]
        sure = 0 if one.curve is None else sum(int(value == value) for value in one.curve.low)
        if one.curve is None or not sure:
            rows.append((*row, "n/a" if one.curve is None else plain(one.curve.mean[-1]), "", "", ""))
            continue
        last = sure - 1
        told = f"{plain(one.curve.low[last])} to {plain(one.curve.high[last])}"
        rows.append((*row, plain(one.curve.mean[-1]), str(sure), plain(one.curve.mean[last]), told))
    caption = (
        f"The draws of tuning by how they ended, and the accuracy on the {info.validation} set of the best of all draws and, expected, of "
        "the best of n, for the largest n that has an interval (jackknife over draws, Student's t)."
    )
    return Table("searches", caption, columns, tuple(rows))


def _curves_caption(info: TunedInfo) -> str:
    with_curve = [one for one in info.searches[1:] if one.curve is not None]
    rest = f" The first {CURVES} of {len(with_curve)} variants." if len(with_curve) > CURVES else ""
    stopped = " Dashed: at most, for draws that were stopped." if any(one.counts["stopped"] for one in info.searches) else ""
    return (
        f"Expected accuracy on the {info.validation} set of the best of n draws, of {info.baseline} (grey) and each variant (blue). The "
        "band, or the bar at a single n, is the 95 % interval over draws (jackknife), for each n by itself, to a third of the draws; "
        "dotted beyond, where a few draws decide. The green line is the n from which on the order is clear: the 99 % interval of the "
        "paired difference excludes zero."
        f"{stopped}{rest}"
    )


def _was(number: int) -> str:
    return "was" if number == 1 else "were"
