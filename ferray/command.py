"""What ferray's command lines have in common: how a user's mistake and a fault of ours end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import typer

from ferray.errors import FerrayError


def run(command: Callable[..., None] | typer.Typer) -> None:
    """Runs a function, or an app of several, as a command line.

    A FerrayError is told without traceback and ends with status 2; all else keeps its own.
    """
    if isinstance(command, typer.Typer):
        app = command
    else:
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command()(command)
    try:
        app()
    except FerrayError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # nobody reads on, as behind `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
