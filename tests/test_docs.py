"""The documentation: its links lead somewhere, its study files are valid, its Python runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from ledger_fixture import PATH, make_ledger
from torch.nn.functional import cross_entropy

from ferray import Results, Study
from ferray.analysis.report import write_report

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
CNN = {"augmentation": {"rotation": 10}, "dropout": 0.3, "l1": 1e-5, "l2": 1e-5, "label_smoothing": 0.1}
OWN = {
    "model": "./network.py:Network",
    "model_arguments": {"attention": True, "residual": True, "batch_norm": True},
    "augmentation": {"rotation": 10},
    "l1": 1e-5,
    "l2": 1e-5,
}
"""A base that has what excerpts of study files take away: of ferray's network, and of one's own."""


def blocks(page: Path, language: str) -> list[str]:
    """What stands between fences of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them, without what looks like one in a block of code."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_documentation_leads_to_a_file_and_heading(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    for link in links:
        place, _, anchor = link.partition("#")
        target = page.parent / place if place else page
        if not place.startswith("http"):
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_headings_and_tables_stand_apart_from_the_text_before(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert not re.findall(r"^[^\n]+\n#+ .*", text, flags=re.MULTILINE)
    assert not re.findall(r"^(?!\|)[^\n]+\n\|.*", text, flags=re.MULTILINE)


EXCERPTS = [(page, number, text) for page in PAGES for number, text in enumerate(blocks(page, "yaml"))]


@pytest.mark.parametrize(("page", "number", "text"), EXCERPTS, ids=[f"{page.stem}-{number}" for page, number, _ in EXCERPTS])
def test_every_study_file_that_is_shown_whole_or_in_part_is_valid(page: Path, number: int, text: str, tmp_path: Path) -> None:
    given: dict[str, Any] = yaml.safe_load(text)
    content = {"base": OWN if "model_arguments" in text else CNN, **given}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    assert Study.load(tmp_path / "study.yaml").all_variants()


@pytest.mark.slow
@pytest.mark.parametrize(("page", "study"), [("report.md", "quickstart"), ("ablation.md", "my-study")])
def test_the_python_of_a_page_runs_beside_the_ledger_of_its_study(
    page: str, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = {name: PATH[name] for name in ("cnn", "no augmentation")}
    make_ledger(tmp_path / "ferray_results", name=study, seeds=3, variants=two, epochs=4)
    monkeypatch.chdir(tmp_path)
    shown = blocks(ROOT / "docs" / page, "python")
    assert shown
    if any("claims.json" in block for block in shown):
        write_report("ferray_results", study)
    for block in shown:
        exec(compile(block, page, "exec"), {"results": Results.load("ferray_results", study)})


def test_a_loss_and_a_transform_of_ones_own_do_what_their_page_says() -> None:
    loss, transform = blocks(ROOT / "docs" / "own-model.md", "python")
    names: dict[str, Any] = {}
    exec(loss, names)
    exec(transform, names)
    logits, labels = torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1])
    assert names["Focal"](gamma=0.0)(logits, labels).item() == pytest.approx(cross_entropy(logits, labels).item())
    images = torch.zeros(3, 1, 4, 4)
    noisy = names["noise"](strength=0.5)(images, torch.Generator().manual_seed(0))
    assert noisy.shape == images.shape
    assert noisy.std() > 0
