"""Details: which trials the plan has, in which phase, and what became of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger_fixture import make_ledger
from test_tuned import CHOSEN, SEEDS, TUNING_SEED, VARIANTS, tuned_ledger

from ferray.analysis.details import each_once, plan_parts, status_counts
from ferray.analysis.figures import Drawing
from ferray.analysis.report import write_report
from ferray.analysis.results import Results
from ferray.analysis.tables import trials_table

DRAWS = 6


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return tuned_ledger(tmp_path_factory.mktemp("tuned"), draws=DRAWS, fates={("no-augmentation", 1, 2): "diverged"})


def test_a_plan_of_one_phase_is_one_part_without_a_title(tmp_path: Path) -> None:
    make_ledger(tmp_path, seeds=3, epochs=2, images=40, outcome={("cnn", 1): "failed"})
    results = Results.load(tmp_path, "report")
    (part,) = plan_parts(results)
    assert (part.title, part.seeds, part.trials) == ("", (0, 1, 2), len(results.trials))
    assert {row.phase for row in part.rows} == {"final"}
    assert part.rows[0].statuses == ("finished", "failed", "finished")
    assert part.rows[0].counts == {"finished": 2, "failed": 1}
    assert trials_table(results).columns[0] == "variant"


def test_tuning_and_confirmation_are_parts_with_seeds_of_their_own(tuned: Results) -> None:
    tuning, confirmation = plan_parts(tuned)
    assert (tuning.title, tuning.seeds, tuning.trials) == ("Tuning", (TUNING_SEED,), len(VARIANTS) * DRAWS)
    assert len(tuning.rows) == len(VARIANTS) * DRAWS
    assert {row.phase for row in tuning.rows} == {"tuning"}
    assert (confirmation.title, confirmation.seeds) == ("Confirmation", tuple(range(SEEDS)))
    assert all(all(row.statuses) for part in (tuning, confirmation) for row in part.rows), "no seed of another part makes a gap"


def test_the_page_counts_the_rows_of_each_part_by_themselves(tuned: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ferray.analysis.page.render", lambda name, draw, fonts: Drawing(name, b"", b""))
    html = write_report(tuned.ledger.path, tuned.name, folder=tmp_path).read_text(encoding="utf-8")
    assert "<p>Tuning, 24 trials: 24 rows of 1 seed.</p>" in html
    assert f"<p>Confirmation, 30 trials: 6 rows of {SEEDS} seeds. Final is" in html
    assert "<tr><td>all</td><td>final, frozen</td>" in html


def test_trials_at_the_baselines_settings_that_are_a_variants_own_best_are_told_once(tuned: Results) -> None:
    *_, confirmation = plan_parts(tuned)
    assert [(row.variant, row.sample, row.phase) for row in confirmation.rows] == [
        ("all", 0, "final, frozen"),
        ("no-augmentation", CHOSEN["no-augmentation"], "final"),
        ("no-augmentation", 0, "frozen"),
        ("no-batch_norm", CHOSEN["no-batch_norm"], "final"),
        ("no-batch_norm", 0, "frozen"),
        ("dnn", 0, "final, frozen"),
    ]
    assert confirmation.trials == len(confirmation.rows) * SEEDS
    table = trials_table(tuned)
    assert table.columns[:2] == ("variant", "phase")
    keys = [row[-1] for row in table.rows]
    assert len(keys) == len(set(keys)) == len(each_once(tuned)) < len(tuned.trials)
    assert sum(row[:2] == ("all", "final, frozen") for row in table.rows) == SEEDS
    assert status_counts(tuned) == {"finished": len(keys) - 1, "diverged": 1}
