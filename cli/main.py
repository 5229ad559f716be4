"""Entry point: run a command line; report an error as one line and an exit status.

Neither JAX nor NumPy is imported until a command's job runs, so that help is instant.

See also: commands/ for the commands and their options.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import typer

from ..posteriors.errors import UsageError
from ..posteriors.specs import USER_MODULE
from . import commands  # noqa: F401  they add themselves to the application
from .app import Job, app
from .environment import Environment, ExitStatus, standard_environment


def main() -> None:
    """Run the process's own command line."""
    # OpenBLAS reads this when NumPy is imported; its threads stall if another core is busy.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    status = execute(sys.argv[1:], standard_environment())
    if status == ExitStatus.INTERRUPTED:
        # JAX stopped in the middle of compiling crashes about half of the ordinary endings.
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(status)
    if "jax" in sys.modules:
        _leave(status)
    sys.exit(status)


def _leave(status: int) -> NoReturn:
    """End the process as Python does, but without taking it apart object by object.

    That would take half a second once programs have been loaded, for no result.
    """
    for thread in threading.enumerate():
        if not thread.daemon and thread is not threading.current_thread():
            thread.join()
    try:
        atexit._run_exitfuncs()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # closed, or without a reader
                stream.flush()
        os._exit(status)


def execute(arguments: Sequence[str], environment: Environment) -> int:
    """Parse a command line and run its job.

    arguments: words after the program's name.
    environment: streams, clock and variables of the process.
    Returns: the exit status; errors are reported on standard error.
    """
    try:
        job = _parse(arguments, environment)
        status = job() if callable(job) else job
        environment.stdout.flush()
        return int(status or ExitStatus.DONE)
    except BrokenPipeError:
        # The reader of our output has closed it.
        _silence(environment)
        return ExitStatus.DONE
    except KeyboardInterrupt:
        environment.say("interrupted")
        return ExitStatus.INTERRUPTED
    except Exception as error:  # the last line of defence: a traceback is no message
        return _failed(error, environment)


def _parse(arguments: Sequence[str], environment: Environment) -> Job | int:
    """The chosen command's body with its options bound, or a status where there is none to run."""
    command = typer.main.get_command(app)
    try:
        return command.main(
            list(arguments), prog_name="uncertain", standalone_mode=False, obj=environment
        )
    except SystemExit as exit:
        # Typer ends so when the pipe that its help goes to is closed.
        _silence(environment)
        return ExitStatus.DONE if exit.code in (None, 0, 1) else ExitStatus.WRONG_USE


def _failed(error: Exception, environment: Environment) -> int:
    """Report an error in one line; return the exit status."""
    if environment.debug:
        traceback.print_exception(error, file=environment.stderr)
    if (message := _usage_message(error)) is not None:
        environment.say(f"error: {_one_line(message)}")
        return ExitStatus.WRONG_USE
    kind = type(error).__name__
    environment.say(
        f"error: unexpected {kind}: {_one_line(str(error))}; this is a bug: please report it with "
        "what UNCERTAIN_DEBUG=1 or --debug shows"
    )
    return ExitStatus.BUG


def _usage_message(error: Exception) -> str | None:
    """The message of an error that the user can put right, None for a bug."""
    if isinstance(error, UsageError):
        return str(error)
    if where := _users_own(error):
        return f"{where}: {type(error).__name__}: {error}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return None


def _users_own(error: Exception) -> str | None:
    """`file.py:12` where line 12 of the user's own code is where it went wrong."""
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__", "")).startswith(USER_MODULE):
            found = f"{frame.f_code.co_filename}:{line}"
    return found


def _one_line(text: str) -> str:
    """The text with every run of white space as one blank."""
    return " ".join(text.split())


def _silence(environment: Environment) -> None:
    """Discard the output buffered for a closed pipe, or Python complains at its end."""
    if environment.stdout is sys.__stdout__:
        os.dup2(os.open(os.devnull, os.O_WRONLY), environment.stdout.fileno())


__all__ = ["execute", "main"]

if __name__ == "__main__":
    main()
