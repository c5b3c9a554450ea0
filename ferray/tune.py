"""`python -m ferray.tune`: runs a study and writes its report."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from ferray import command
from ferray.errors import ConfigError, nearest
from ferray.ledger import DEFAULT_STORAGE

QUICKSTART = "quickstart"


def main(
    study: Annotated[str, typer.Argument(help="A study file, or the name of one in search_spaces/.")] = QUICKSTART,
    data: Annotated[str | None, typer.Option(help="Where the study's data lie: a file or folder.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Overrides a field of the study, as in base.epochs=3.")
    ] = None,
    storage: Annotated[Path, typer.Option(help="The folder for records and reports.")] = Path(DEFAULT_STORAGE),
    local: Annotated[bool, typer.Option("--local", help="The same trials in this process, one after another, without Ray.")] = False,
    address: Annotated[str | None, typer.Option(help="A Ray cluster to run on; RAY_ADDRESS serves too.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Runs failed trials again.")] = False,
) -> None:
    """Runs what the ledger does not have of a study yet, and writes its report."""
    from ferray import study_file
    from ferray.analysis.report import write_report
    from ferray.runner import run
    from ferray.study import Study

    file = find(study)
    planned = Study.load(file, settings or []).located(data)
    text = study_file.read(file)[0]
    outcome = run(planned, storage, address=address, local=local, retry_failed=retry_failed, text=text, say=_say)
    ended = ", ".join(f"{count} {status}" for status, count in sorted(outcome.statuses.items()))
    _say(f"study {planned.name}: {ended}; {outcome.trained} ended just now; records in {storage}")
    if outcome.interrupted:
        _say("interrupted: finished trials are kept, half-trained ones go on from their last epoch; run the same command to go on")
        sys.exit(130)
    _say(f"report: {write_report(storage, planned.name, say=_say)}")
    if outcome.failures:
        label, told = next(iter(outcome.failures.items()))
        _say(f"{len(outcome.failures)} trials failed, {label} over {told}; the report has all; --retry-failed runs them again")
        sys.exit(1)


def find(study: str) -> Path:
    """The file of a study given by path, or by its name in search_spaces/ of the current folder or of ferray's own checkout."""
    given = Path(study)
    try:
        if given.is_file():
            return given
    except OSError as error:
        raise ConfigError(f"study file {study!r}: {error.strerror}") from None
    folders = [Path("search_spaces"), Path(__file__).resolve().parents[1] / "search_spaces"]
    for folder in folders:
        named = folder / f"{study}.yaml"
        if named.is_file():
            return named
    known = sorted({file.stem for folder in folders for file in folder.glob("*.yaml")})
    raise ConfigError(f"no study file {study!r}{nearest(study, known)}; give a path, or one of: {', '.join(known)}")


def _say(line: str) -> None:
    try:
        print(line, flush=True)
    except BrokenPipeError:  # nobody listens any more, as behind `| head`; the study goes on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    command.run(main)
