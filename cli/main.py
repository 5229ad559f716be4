"""Entry point: run a command line, and turn whatever goes wrong into one line and a status.

Not here: the commands and their options (commands.py). Neither JAX nor NumPy is imported until a
command's body is called, so that help is instant.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import NoReturn

import typer

from . import (
    command_bench,
    command_calibrate,
    command_inspect,
    command_logs,
    command_people,
    command_replay,
    command_results,
    command_streams,
    command_sweep,
    command_train,
    command_tune,
    command_worlds,
)
from .app import Job, app
from .environment import Environment, ExitStatus, standard

USER_MODULE = "uncertain_user_"
"""What posteriors/loading.py calls the modules it makes of users' files."""


def main() -> None:
    """Run the process's own command line."""
    # OpenBLAS reads this when NumPy is imported; its threads stall if another core is busy.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    status = execute(sys.argv[1:], standard())
    if status == ExitStatus.INTERRUPTED:
        # JAX stopped in the middle of compiling crashes about half of the ordinary endings.
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(status)
    if "jax" in sys.modules:
        leave(status)
    sys.exit(status)


def leave(status: int) -> NoReturn:
    """End the process as Python does, but without taking it apart object by object.

    That would take half a second once programs have been loaded, and nobody waits for its result.
    """
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()
    try:
        atexit._run_exitfuncs()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # closed, or nobody reads it any more
                stream.flush()
        os._exit(status)


def execute(arguments: Sequence[str], environment: Environment) -> int:
    """Parse and run; the exit status. Never raises for anything but a bug in here."""
    try:
        job = parse(arguments, environment)
        status = job() if callable(job) else job
        environment.stdout.flush()
        return int(status or ExitStatus.DONE)
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        silence(environment)
        return ExitStatus.DONE
    except KeyboardInterrupt:
        environment.say("interrupted")
        return ExitStatus.INTERRUPTED
    except Exception as error:  # the last line of defence: a traceback is no message
        return failed(error, environment)


def parse(arguments: Sequence[str], environment: Environment) -> Job | int:
    """The chosen command's body with its options bound, or a status where there is none to run."""
    command = typer.main.get_command(app)
    try:
        return command.main(
            list(arguments), prog_name="uncertain", standalone_mode=False, obj=environment
        )
    except SystemExit as exit:
        # Typer ends so when the pipe that its help goes to is closed.
        silence(environment)
        return ExitStatus.DONE if exit.code in (None, 0, 1) else ExitStatus.WRONG_USE


def failed(error: Exception, environment: Environment) -> int:
    """Say in one line what went wrong; the status that goes with it."""
    if environment.debug:
        traceback.print_exception(error, file=environment.stderr)
    if (message := usage_message(error)) is not None:
        environment.say(f"error: {one_line(message)}")
        return ExitStatus.WRONG_USE
    kind = type(error).__name__
    environment.say(
        f"error: unexpected {kind}: {one_line(str(error))}; this is a bug: please report it with "
        "what UNCERTAIN_DEBUG=1 or --debug shows"
    )
    return ExitStatus.BUG


def usage_message(error: Exception) -> str | None:
    """The message of an error that the user can put right, None for a bug."""
    # If the class was never imported, the error is not one of ours.
    base = sys.modules.get("uncertain.posteriors.base")
    if base is not None and isinstance(error, base.UsageError):
        return str(error)
    if hasattr(error, "format_message"):
        return parser_message(error)
    if where := users_own(error):
        return f"{where}: {type(error).__name__}: {error}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return None


def users_own(error: Exception) -> str | None:
    """`file.py:12` where line 12 of the user's own code is where it went wrong."""
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__", "")).startswith(USER_MODULE):
            found = f"{frame.f_code.co_filename}:{line}"
    return found


def parser_message(error: Exception) -> str:
    """What the command-line parser refused, with the nearest option and where to look."""
    # Every error of the parser has it; their common class is private to the library.
    message = error.format_message()  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    if wrong := getattr(error, "option_name", None):
        known = [name for p in context.command.params for name in p.opts] if context else []
        if wrong not in known:
            close = get_close_matches(wrong, known, 1, 0.5)
            message = f"no option {wrong}" + (f"; did you mean {close[0]}?" if close else "")
    message = message.rstrip(".")
    return f"{message} (see {context.command_path} --help)" if context else message


def one_line(text: str) -> str:
    """The text with every run of white space as one blank."""
    return " ".join(text.split())


def silence(environment: Environment) -> None:
    """Send what is still buffered for a closed pipe nowhere, or Python complains at its end."""
    if environment.stdout is sys.__stdout__:
        os.dup2(os.open(os.devnull, os.O_WRONLY), environment.stdout.fileno())


COMMANDS = (
    command_bench,
    command_sweep,
    command_results,
    command_tune,
    command_calibrate,
    command_train,
    command_streams,
    command_inspect,
    command_replay,
    command_people,
    command_logs,
    command_worlds,
)
"""Imported for what they add to the application, in the order in which help shows them."""

__all__ = ["execute", "main"]

if __name__ == "__main__":
    main()
