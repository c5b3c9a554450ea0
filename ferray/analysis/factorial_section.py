"""The report's section on a factorial design: its sentences, figures and table."""

from __future__ import annotations

from collections.abc import Sequence

from ferray.analysis.claims import Claim, Verdict
from ferray.analysis.effect_sentences import brackets, uncorrected
from ferray.analysis.factorial import FactorialInfo, effect_label, factorial_info
from ferray.analysis.factorial_claims import aliased, factorial_claims, lost_seeds, number
from ferray.analysis.factorial_figures import draw_alias_sets, draw_effects, draw_map, draw_pairs, map_info, strongest
from ferray.analysis.page import Page
from ferray.analysis.results import Results
from ferray.analysis.tables import Table
from ferray.analysis.verdicts import FEWEST_SEEDS
from ferray.analysis.wording import factor_label, interval, listed, plural, points, probability, signed


def interactions(page: Page, results: Results) -> list[Claim]:
    """Adds the section on a factorial design's effects, and gives its claims; nothing where the study has no such design."""
    info = factorial_info(results)
    if info is None:
        return []
    claims = factorial_claims(results)
    page.section("interactions", "Interactions")
    page.say(design_sentences(info))
    if not info.main:
        return claims
    own = [claim for claim in claims if claim.split == info.split]
    page.say([*_reading(info), *uncorrected(own)])
    page.enumerate([claim.sentence for claim in own if claim.kind == "main_effect"])
    page.show("factorial_effects", lambda: draw_effects(info), _effects_caption(info))
    page.enumerate(interaction_sentences(info, [claim for claim in own if claim.kind == "interaction"]))
    if info.design == "factorial" and info.interactions:
        drawn = map_info(info)
        rest = f" The {plural(drawn.left_out, 'factor')} with the smallest effects are left out." if drawn.left_out else ""
        page.show(
            "interactions",
            lambda: draw_map(drawn),
            "Main effects on the diagonal, two-way interactions below it, in points, with the 95 % interval over seeds and images where "
            f"there is room. Blue is good for the network, orange is bad; bold ones are told from zero (Holm).{rest}",
        )
        chosen = strongest(info)
        page.show(
            "interaction_plots",
            lambda: draw_pairs(info, chosen),
            f"The {plural(len(chosen), 'interaction')} of the smallest p-values: accuracy without and with the one factor, a line for "
            "either state of the other, averaged over the states of the rest. Thin lines are seeds. Parallel lines are no interaction.",
        )
    elif info.interactions:
        page.show(
            "alias_sets",
            lambda: draw_alias_sets(info),
            "Interactions, each with those below it that this fraction cannot tell from it: the number is their sum. Dots are seeds, the "
            "line is the 95 % interval over seeds and images.",
        )
    page.tabulate(effects_table(info))
    return claims


def design_sentences(info: FactorialInfo) -> list[str]:
    """What was run, and of which seeds the effects are."""
    count = len(info.factors)
    factors = listed([factor_label(factor) for factor in info.factors])
    if info.design == "factorial":
        sentences = [f"All {len(info.variants)} combinations of having and not having {factors} were planned (a 2^{count} factorial)."]
    else:
        resolution = f" of resolution {info.resolution}" if info.resolution else ""
        sentences = [
            f"{len(info.variants)} of the {2**count} combinations of having and not having {factors} were planned, a regular fraction"
            f"{resolution}.",
            "It cannot tell some effects from others, its aliases, which stand beside each effect: a number is the sum of the effect and "
            "its aliases, and is the effect's own only where these are nothing.",
        ]
    if not info.seeds:
        sentences.append("No seed has finished all of them yet, so there are no effects to tell.")
    if info.lost:
        sentences.append(lost_seeds(info))
    return sentences


def _reading(info: FactorialInfo) -> list[str]:
    """How the numbers are to be read, and what the Shapley effects sum to."""
    others = len(info.variants) // 2
    told = [
        f"A main effect is the accuracy with a factor minus that without it, averaged over {others} variants on either side, so over all "
        f"states of the other factors{'' if info.design == 'factorial' else ' that the fraction has'}.",
    ]
    if info.interactions:
        told.append(
            "An interaction is how much more one factor adds where the other is there than where it is not, averaged over the states of "
            "the rest; half of it is what textbooks call the interaction effect."
        )
    told.append("Intervals in brackets are over seeds and images: they speak of other trainings, judged on other images of the same kind.")
    if info.total is not None:
        told.append(
            "A Shapley effect is what a factor adds, averaged over all orders of adding the factors to a network without any; "
            f"they sum to what all of them add, {number(info.total)}, and share it out fairly where factors interact."
        )
    return told


def interaction_sentences(info: FactorialInfo, claims: Sequence[Claim]) -> list[str]:
    """The interactions that are decided, one by one, then the others of each verdict together."""
    told = [claim.sentence for claim in claims if claim.verdict in ("helps", "hurts")]
    groups: Sequence[tuple[Verdict | None, str]] = (
        ("no effect", f"No interaction larger than {points(info.smallest_effect)}"),
        ("inconclusive", "Inconclusive"),
        (None, "Without a verdict"),
    )
    for verdict, words in groups:
        own = []
        for claim in claims:
            if claim.verdict == verdict:
                alike = f" or {aliased(claim.details['aliases'])}" if claim.details["aliases"] else ""
                both = claim.estimates["both"]
                own.append(f"{effect_label(claim.subject)}{alike} {signed(both.mean)} {brackets(both)}")
        if own:
            told.append(f"{words}: {'; '.join(own)}.")
    return told


def effects_table(info: FactorialInfo) -> Table:
    """Main effects, interactions and Shapley effects with their three intervals."""
    columns = ["effect", "kind", "points", "seeds and images", "seeds alone", "images alone", "p (Holm)", "verdict"]
    if info.design == "fractional":
        columns.insert(1, "cannot be told from")
    rows = []
    for kind, contrasts in (("main", info.main), ("interaction", info.interactions), ("Shapley", info.shapley)):
        for one in contrasts:
            found, decision = one.crossed, one.decision
            row = [effect_label(one.name), kind, signed(found.both.mean)]
            row += [interval(estimate, sign=True) for estimate in (found.both, found.seeds, found.images)]
            judged = len(info.seeds) >= FEWEST_SEEDS and not found.both.is_point
            row += [probability(decision.p), _verdict(kind, decision.verdict)] if judged and decision is not None else ["", ""]
            if info.design == "fractional":
                row.insert(1, aliased(one.aliases))
            rows.append(tuple(row))
    caption = (
        f"Effects on accuracy on the {info.label} set in points, over {plural(len(info.seeds), 'seed')} that finished all "
        f"{len(info.variants)} variants, with 95 % intervals: over seeds and images (crossed random factors), which the "
        "verdicts rest on, over seeds alone (paired t) and over images alone. Main effects and interactions are a family each (Holm); an "
        f"effect that is certainly smaller than {points(info.smallest_effect)} is none."
    )
    words = {0, columns.index("kind"), columns.index("verdict")} | ({1} if info.design == "fractional" else set())
    return Table("factorial", caption, tuple(columns), tuple(rows), frozenset(words))


def _verdict(kind: str, verdict: str) -> str:
    if kind == "interaction":
        return {"helps": "help one another", "hurts": "in each other's way", "no effect": "none"}.get(verdict, verdict)
    return verdict


def _effects_caption(info: FactorialInfo) -> str:
    beside = " Right: their Shapley effects." if info.shapley else " Below each name are the effects that it cannot be told from."
    return (
        f"{'Left: what' if info.shapley else 'What'} each factor does for accuracy on the {info.label} set, averaged over all states of "
        f"the others. The large dot is the mean over n = {plural(len(info.seeds), 'seed')}, small dots are the seeds, the line is the 95 % "
        f"interval over seeds and images.{beside}"
    )
