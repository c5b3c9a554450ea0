"""Style: how panels are laid out."""

from __future__ import annotations

from ferray.analysis.figures import render
from ferray.analysis.style import WIDTH, new_figure, panels


def test_panels_fill_rows_and_leave_the_rest_empty() -> None:
    figure = new_figure(3)
    made = panels(figure, 5, 3, label="accuracy", sharex=True)
    assert len(made) == 5
    assert len(figure.axes) == 6
    assert not figure.axes[5].axison
    assert [axes.get_ylabel() for axes in made] == ["accuracy", "", "", "accuracy", ""]
    lowest = [axes.xaxis.get_tick_params()["labelbottom"] for axes in made]
    assert lowest == [False, False, True, True, True]
    made[0].set_ylim(2, 3)
    assert made[4].get_ylim() == (2, 3)


def test_a_figure_knows_what_share_of_the_text_it_is_wide() -> None:
    assert render("whole", lambda: new_figure(1)).width == 1
    assert render("half", lambda: new_figure(1, WIDTH / 2)).width == 0.5
