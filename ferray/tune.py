"""`python -m ferray.tune`: runs a study and writes its report."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ferray import command
from ferray.errors import ConfigError, nearest
from ferray.ledger import DEFAULT_STORAGE
from ferray.running.display import Display, fitting
from ferray.running.estimate import counted

if TYPE_CHECKING:
    from ferray.study import Study

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
    plan: Annotated[bool, typer.Option("--plan", help="Shows what would run, and how long it would take; trains nothing.")] = False,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Whether the report is written once the trials have ended.")] = True,
) -> None:
    """Runs what the ledger does not have of a study yet, and writes its report.

    Exit status: 0, all trials have ended well; 1, some failed, whether or not the budget is spent too; 2, a mistake in what was asked
    for; 3, none failed, the study's budget is spent and trials are left; 130, interrupted.
    """
    file = find(study)
    display = fitting(_say)
    display.say(f"reading {file} and its data")  # at once: what follows loads large libraries
    from ferray import study_file
    from ferray.study import Study

    planned = Study.load(file, settings or []).located(data)
    if plan:
        _show_plan(planned, storage, address=address, local=local, retry_failed=retry_failed)
        return
    from ferray.running.runner import run

    text = study_file.read(file)[0]
    outcome = run(planned, storage, address=address, local=local, retry_failed=retry_failed, text=text, display=display)
    ended = ", ".join(f"{count} {status}" for status, count in sorted(outcome.statuses.items()))
    display.say(f"study {planned.name}: {ended}; {outcome.trained} ended just now; records in {storage}")
    if outcome.interrupted:
        sys.exit(130)
    if report:
        _report(storage, planned.name, display)
    if outcome.failures:
        label, told = next(iter(outcome.failures.items()))
        failed = f"{counted(len(outcome.failures), 'trial')} failed, {label} over {told}"
        display.say(f"{failed}; {'the report has all; ' if report else ''}--retry-failed runs failed trials again")
        sys.exit(1)
    if outcome.out_of_budget:
        sys.exit(3)


def _show_plan(study: Study, storage: Path, *, address: str | None, local: bool, retry_failed: bool) -> None:
    from rich.console import Console

    from ferray.running.plan import make_plan
    from ferray.running.plan_tables import drawn

    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    console.print(drawn(make_plan(study, storage, address=address, local=local, retry_failed=retry_failed, say=_say)))


def _report(storage: Path, study: str, display: Display) -> None:
    """Writes the report, and says what it says at its top."""
    from ferray.analysis.report import make_report

    try:
        report = make_report(storage, study)
    except KeyboardInterrupt:
        again = shlex.join(["python", "-m", "ferray.report", study, "--storage", str(storage)])
        display.say(f"interrupted before the report was written; it is with: {again}")
        sys.exit(130)
    for remark in report.remarks:
        display.say(f"note: {remark}")
    for sentence in report.summary:
        display.say(sentence)
    display.say(f"report: {report.page}")


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
    if given.is_dir():
        raise ConfigError(f"study file {study!r}: it is a folder; give a file in it, such as {given / 'my-study.yaml'}")
    known = sorted({file.stem for folder in folders for file in folder.glob("*.yaml")})
    beside = [str(file) for file in given.parent.glob("*.yaml")]
    near = nearest(study, [*known, *beside]) or "."
    raise ConfigError(f"no study file {study!r}{near} Give a path, or one of: {', '.join(known)}")


def _say(line: str) -> None:
    try:
        print(line, flush=True)
    except BrokenPipeError:  # nobody listens any more, as behind `| head`; the study goes on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    command.run(main)
