"""Set JAX up for commands, before anything is computed.

Importing this does nothing; a command calls `prepare` before its job.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..streams.storage import private
from .environment import Environment


def _cache_folder(variables: Mapping[str, str]) -> Path | None:
    """Where compiled programs are kept, made if need be; None where it cannot be written."""
    base = variables.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = Path(base) / "uncertain" / "jax"
    try:
        private.make_folder(folder)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


@contextmanager
def import_uncollected() -> Iterator[None]:
    """Import without garbage collection, and leave the imported objects out of later collections.

    Imports make a million objects that live as long as the process.
    """
    if "jax" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def prepare(environment: Environment, cache: bool = True) -> None:
    """Set JAX up: synchronous dispatch, and compiled programs cached between runs.

    environment: its variables name the cache folder.
    cache: whether compiled programs are stored.
    """
    with import_uncollected():
        import jax

        from ..decide.loop.core.program_cache import set_cache_folder, store_programs

    set_cache_folder(None)
    # The same call takes 11 or 67 microseconds when dispatched asynchronously, at random.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    if not cache or environment.variables.get("UNCERTAIN_NO_CACHE"):
        return
    folder = _cache_folder(environment.variables)
    if folder is not None:
        store_programs(folder)


def hurry(deadline: float | None) -> None:
    """Run JAX on one thread if there is a deadline; call it before anything is computed.

    deadline: of a decision in seconds, None without one.
    """
    if deadline is None:
        return
    with import_uncollected():
        import jax

        from ..decide.loop.core.cores import use_one_thread

    use_one_thread()
    name = "jax_compilation_cache_dir"
    # By name: types know nothing of it.
    if folder := getattr(jax.config, name):
        # Programs are cut up for as many threads as there were when they were compiled.
        jax.config.update(name, f"{folder}-one-thread")
