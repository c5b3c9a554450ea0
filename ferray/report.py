"""`python -m ferray.report`: writes the report of a study again, from the ledger alone; needs neither Ray nor torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ferray import command, study_file
from ferray.errors import ConfigError, LedgerError, nearest
from ferray.ledger import DEFAULT_STORAGE, Ledger


def main(
    study: Annotated[
        str | None,
        typer.Argument(
            metavar="STUDY-OR-DIR", help="A study's name, its file, a storage folder or a report folder; without one, the study run last."
        ),
    ] = None,
    storage: Annotated[Path, typer.Option(help="The folder with the records, where a name or a file is given.")] = Path(DEFAULT_STORAGE),
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Lay two studies side by side instead, each given as STUDY-OR-DIR is."),
    ] = None,
) -> None:
    """Writes the report of a study, as far as its trials are, and says where the page lies."""
    from ferray.analysis.report import make_report

    if compare is not None:
        if study is not None:
            raise ConfigError(f"--compare takes two studies and no third; what is {study!r} for?")
        _compare(*compare, storage)
        return
    ledger, name = locate(study, storage)
    print(f"study {name} in {ledger.path}", flush=True)
    report = make_report(ledger.path, name)
    for remark in report.remarks:
        print(f"note: {remark}", flush=True)
    print(f"report: {report.page}", flush=True)


def _compare(first: str, second: str, storage: Path) -> None:
    from ferray.analysis.comparison_page import make_comparison
    from ferray.analysis.results import Results

    found = [locate(given, storage) for given in (first, second)]
    for ledger, name in found:
        print(f"study {name} in {ledger.path}", flush=True)
    report = make_comparison(*(Results.load(ledger, name) for ledger, name in found))
    for remark in report.remarks:
        print(f"note: {remark}", flush=True)
    for sentence in report.summary:
        print(sentence, flush=True)
    print(f"report: {report.page}", flush=True)


def locate(given: str | None, storage: Path) -> tuple[Ledger, str]:
    """The ledger and the study's name that an argument of the command line means.

    A study file stands for the study of its ``name``; a storage folder for its only study, or the one run last; a folder under the
    storage's ``reports`` or ``studies`` for that study; anything else is a study's name. Raises FerrayError where there is none.
    """
    place = Path(storage if given is None else given)
    if given is not None and place.is_file():
        name = study_file.read(place)[1].get("name")
        if not isinstance(name, str):
            raise ConfigError(f"{place}: a study file says its name, such as `name: my-study`")
        return _known(_ledger(storage), name)
    if place.is_dir():
        place = place.resolve() if place.name in ("", "..") else place
        if place.parent.name in ("reports", "studies") and _is_storage(place.parent.parent):
            return _known(Ledger(place.parent.parent), place.name)
        if _is_storage(place):
            return _latest(Ledger(place))
    if given is None:
        return _latest(_ledger(storage))
    if place.is_dir() and given not in Ledger(storage).studies():
        raise LedgerError(f"{place} is no storage folder (it has no studies); give a study's name, its file, or a folder that ferray wrote")
    return _known(_ledger(storage), given)


def _is_storage(folder: Path) -> bool:
    return (folder / "studies").is_dir()


def _ledger(storage: Path) -> Ledger:
    if not _is_storage(storage):
        raise LedgerError(f"no study has been run into {storage}; say where the records are with --storage DIR")
    return Ledger(storage)


def _known(ledger: Ledger, name: str) -> tuple[Ledger, str]:
    studies = ledger.studies()
    if name not in studies:
        there = f"there are: {', '.join(studies)}" if studies else "there are none"
        raise LedgerError(f"no study {name!r} in {ledger.path}{nearest(name, studies)} ({there})")
    return ledger, name


def _latest(ledger: Ledger) -> tuple[Ledger, str]:
    """The study run last, saying so where there are others."""
    runs = {name: str(ledger.study(name).get("created", "")) for name in ledger.studies()}
    if not runs:
        raise LedgerError(f"no study has been run into {ledger.path}")
    name = max(runs, key=lambda one: (runs[one], one))
    if len(runs) > 1:
        print(f"{ledger.path} holds {len(runs)} studies ({', '.join(sorted(runs))}); this is the one run last, {name}", flush=True)
    return ledger, name


if __name__ == "__main__":
    command.run(main)
