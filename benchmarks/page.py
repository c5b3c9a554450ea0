"""The tables of docs/performance.md, as Markdown made from the dated results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

BEGIN, END = "<!-- made by python -m benchmarks -->", "<!-- end -->"


def table(figures: list[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each figure, with its peer, the ratio round by round, and what is asked of it."""
    yield "| figure | value | beside | value | ratio | asked | memory |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for one in figures:
        asked = _asked(one)
        cells = [
            one["title"],
            _spread(one.get("value"), one["unit"]) if "reason" not in one or "value" in one else "not measured",
            one.get("peer", ""),
            _spread(one.get("peer_value"), one["unit"]) if "peer_value" in one else "not measured" if "peer" in one else "",
            _spread(one["ratio"]) if "ratio" in one else one.get("reason", ""),
            asked,
            " / ".join(_memory(one, whose) for whose in ("", "peer_") if f"{whose}memory" in one),
        ]
        yield f"| {' | '.join(cells)} |"


def _memory(one: Mapping[str, Any], whose: str) -> str:
    told = f"{one[f'{whose}memory'] / 1e6:,.0f} MB"
    trials = one.get(f"{whose}trial_memory")
    return told if not trials else f"{told}, trials {trials / 1e6:,.0f} MB"


def _asked(one: Mapping[str, Any]) -> str:
    if "target" not in one:
        return ""
    bound = "at least" if one["better"] == "more" else "at most"
    aim = f", aim {one['aim']:g}" if "aim" in one else ""
    met = {True: ": yes", False: ": **no**"}.get(one.get("is_met"), "")
    return f"{bound} {one['target']:g}{aim}{met}"


def _spread(values: Mapping[str, Any] | None, unit: str = "") -> str:
    if values is None:
        return ""
    told = _number(values["median"])
    if values["n"] > 1:
        told += f" ({_number(values['least'])} to {_number(values['most'])}, n = {values['n']})"
    return f"{told} {unit}".strip()


def _number(value: float) -> str:
    if 0 < abs(value) < 1e-3:
        return f"{value:.1e}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 4
    return f"{value:,.{digits}f}"


def page(text: str, parts: Mapping[str, Mapping[str, Any]]) -> str:
    """The page with the table of each part between its marks made anew: ``<!-- made by python -m benchmarks: PART -->``."""
    for name, results in parts.items():
        begin = f"<!-- made by python -m benchmarks: {name} -->"
        if begin not in text:
            raise ValueError(f"the page has no mark for {name!r}: {begin}")
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(END)
        made = "\n".join([begin, "", _made(name, results), "", *table(results["figures"]), "", END])
        text = f"{before}{made}{after}"
    return text


def _made(name: str, results: Mapping[str, Any]) -> str:
    where = results["environment"]
    versions = ", ".join(f"{one} {where[one]}" for one in ("torch", "ray", "tensorflow", "python") if where.get(one))
    return (
        f"Made by `{results['command']}` on {results['date']} in {results['minutes']:g} minutes: {where['processor']}, "
        f"{where['cores']} cores, {where['memory_gib']:g} GiB, {where['accelerator'] or 'no GPU'}, {where['precision']}; {versions}. "
        "Values are medians, with the least and the most of n rounds; ratios are taken round by round. "
        f"All of it: [{results['file']}](../benchmarks/results/{results['file']})."
    )
