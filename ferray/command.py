"""What ferray's command lines have in common: how a user's mistake and a fault of ours end."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from ferray.errors import FerrayError


def run(command: Callable[..., None]) -> None:
    """Runs a function as a command line. A FerrayError is told without traceback and ends with status 2; all else keeps its own."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(command)
    try:
        app()
    except FerrayError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
