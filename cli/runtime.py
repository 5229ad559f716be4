"""Set JAX up for commands, before anything is computed.

Not here: anything at import; command bodies call `prepare` first.
"""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .environment import Environment


def cache_folder(variables: Mapping[str, str]) -> Path | None:
    """Where compiled programs are kept, made if need be; None where it cannot be written."""
    base = variables.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = Path(base) / "uncertain" / "jax"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


@contextmanager
def lasting() -> Iterator[None]:
    """Imports, which make a million objects that live as long as the process: looking through them
    for garbage, then and ever after, is wasted time."""
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
    """Synchronous dispatch, and compiled programs kept between runs unless told otherwise."""
    with lasting():
        import jax

        from ..decide.loop.kept import keep_in

    keep_in(None)
    # The same call takes 11 or 67 microseconds when dispatched asynchronously, at random.
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    if not cache or environment.variables.get("UNCERTAIN_NO_CACHE"):
        return
    folder = cache_folder(environment.variables)
    if folder is None:
        return
    # A full or broken cache costs time, not correctness, so it is nobody's news.
    warnings.filterwarnings("ignore", message="Error (reading|writing) persistent")
    keep_in(folder.with_name("programs"))
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def hurry(deadline: float | None) -> None:
    """JAX on one thread where there is a deadline, which must come before anything is computed."""
    if deadline is None:
        return
    with lasting():
        import jax

        from ..decide.loop.cores import one_thread

    one_thread()
    name = "jax_compilation_cache_dir"
    # By name: types know nothing of it.
    if folder := getattr(jax.config, name):
        # Programs are cut up for as many threads as there were when they were compiled.
        jax.config.update(name, f"{folder}-one-thread")
