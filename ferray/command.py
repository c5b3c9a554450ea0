"""What ferray's command lines have in common: how a user's mistake and a fault of ours end."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import typer

from ferray.errors import FerrayError


def run(command: Callable[..., None] | typer.Typer) -> None:
    """Runs a function as a command line, or a Typer app of several.

    A FerrayError is told without traceback and ends with status 2, Ctrl-C with 130; all else keeps its own.
    """
    if isinstance(command, typer.Typer):
        app = command
    else:
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command()(interruptible(command))
    try:
        app()
    except FerrayError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # nobody reads on, as behind `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def interruptible(command: Callable[..., None]) -> Callable[..., None]:
    """The same command, which Ctrl-C ends with status 130 and a word; Typer would call it aborted and give 1."""

    @functools.wraps(command)
    def ending(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            sys.exit(130)

    return ending
