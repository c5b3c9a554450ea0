"""The report's section of images to look at: those that every training gets wrong, and those that a component sets right or wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ferray.analysis.claims import Claim
from ferray.analysis.hard_images import hard_info, hard_sentence
from ferray.analysis.pictures import COLUMNS, Row, draw_gallery
from ferray.analysis.results import Results
from ferray.analysis.turned_images import Turned, turned_claims, turned_info, turned_sentence, turned_table

if TYPE_CHECKING:
    from ferray.analysis.page import Page

ROWS = 5
"""Rows, of a variant each, in one figure."""


def section(page: Page, results: Results) -> list[Claim]:
    """Adds the galleries, and gives the claims of what each component turns; without images or trainings enough there are none."""
    hard, turned = hard_info(results), turned_info(results)
    if hard is None and turned is None:
        return []
    page.section("galleries", "Images to look at")
    if hard is not None:
        page.say([hard_sentence(hard)])
    if hard is not None and hard.rows:
        page.show(
            "gallery_hard",
            lambda: draw_gallery(hard.rows, hard.synthetic),
            f"Images of the {hard.label} set that all {hard.seeds} trainings of {hard.variant} get wrong: true class and most frequent "
            "answer, how many trainings give it, and its mean probability; the most agreed first, then the surest. Wrong labels often "
            "show here.",
        )
    if turned is None:
        return []
    page.enumerate([turned_sentence(one, turned) for one in turned.variants])
    page.say(
        [
            "Images turn by chance as well, from one training to another. What a component does of its own shows in how many more it sets "
            "right than wrong; the images are those of the largest change of the mean probability of their class."
        ]
    )
    for name, verb, row_of in _KINDS:
        rows = [row_of(one) for one in turned.variants]
        shown = [row for row in rows if row.pictures][:ROWS]
        if shown:
            page.show(
                f"gallery_{name}",
                lambda shown=shown: draw_gallery(shown, turned.synthetic),  # type: ignore[misc]
                f"Images of the {turned.label} set that most trainings {verb} (n images, the first {COLUMNS}): true class; then the most "
                "frequent answer and the mean probability of the true class without it (\N{MINUS SIGN}) and with it (+)."
                + ("" if len(shown) == len(rows) else f" Of {len(rows)} variants it shows {len(shown)}."),
            )
    page.tabulate(turned_table(turned))
    return turned_claims(turned)


_KINDS: tuple[tuple[str, str, Callable[[Turned], Row]], ...] = (
    ("fixed", "get wrong without what stands at the left and right with it", lambda one: one.fixed),
    ("broken", "get right without what stands at the left and wrong with it", lambda one: one.broken),
)
