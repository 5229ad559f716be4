"""Settings that every test runs under.

See also: support.py for helpers.
"""

import functools
import gc
import os
from importlib.metadata import version

# Before NumPy is imported: its threads stall when the other core is busy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

# Most tests run a program a few times: compiling it takes longer than running it does.
# XLA_FLAGS= in the environment compiles as users do; long statistical runs want that.
# The last flag is asked for by version: one that XLA does not know ends the process.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    + " --xla_cpu_use_fusion_emitters=false" * version("jaxlib").startswith("0.10."),
)

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import pytest
from hypothesis import settings
from redis_here import RedisHere
from uncertain.decide.loop.core.cores import use_one_thread
from uncertain.posteriors import registry
from uncertain.posteriors.parts.outcomes import outcome_kind
from uncertain.posteriors.parts.unknowns import unknowns_of

# The suite asks the same questions every time, so that it says what a change did. New ones are
# asked by `pytest --hypothesis-profile=new`.
settings.register_profile("same", derandomize=True)
settings.register_profile("new", derandomize=False)
settings.load_profile("same")

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers with a thread for each core would fight over them.
    use_one_thread()

# Several tests compile the same program: the workers of a run share what one of them compiled.
# The variable is our own, so that commands in a process of their own compile as users' do.
CACHE = "UNCERTAIN_TESTS_CACHE"
MADE_HERE = CACHE not in os.environ
"""Whether this process is the one that starts the workers."""
if MADE_HERE:
    os.environ[CACHE] = tempfile.mkdtemp(prefix="uncertain-tests-")
jax.config.update("jax_compilation_cache_dir", os.environ[CACHE])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)

# A silent broadcast of [S] against [S, 1] is the commonest bug there is.
jax.config.update("jax_numpy_rank_promotion", "raise")


UNTIL = float(os.environ.get("UNCERTAIN_TESTS_UNTIL", "inf"))
"""Seconds since 1970 after which no further test begins; .ci/run sets it."""


def pytest_unconfigure() -> None:
    """Remove the shared programs with the run that made them."""
    if MADE_HERE:
        shutil.rmtree(os.environ.pop(CACHE, ""), ignore_errors=True)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what a slow machine has no time for: a run that is cut off reports nothing."""
    if time.time() > UNTIL:
        pytest.skip("NOT TESTED: no time was left")


def caches_of(package: str) -> set[Any]:
    """The caches of functions and methods in the modules of a package.

    By name: the garbage collector does not list what is frozen, as while latencies are measured.
    """
    modules = [module for name, module in list(sys.modules.items()) if name.startswith(package)]
    values = [value for module in modules for value in vars(module).values()]
    members = [x for value in values if isinstance(value, type) for x in vars(value).values()]
    return {x for x in [*values, *members] if type(x) is functools._lru_cache_wrapper}


MOST = 1 << 30
"""Bytes that a worker may hold before it lets go of its programs."""


@pytest.fixture(scope="module", autouse=True)
def room() -> Iterator[None]:
    """Let go of compiled programs after a file, once there are many.

    The more of them a process holds, the longer the next one takes to compile.
    """
    yield
    status = Path("/proc/self/statm")
    if status.exists() and int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") > MOST:
        # What was built once holds programs, and counts on those of JAX: both go, or neither.
        for cache in caches_of("uncertain."):
            cache.cache_clear()
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of data that nobody here made, or a skip that says how to name it."""
    default = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("UNCERTAIN_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no data in {folder}: set UNCERTAIN_DATA to the folder that holds it")
    return folder


@pytest.fixture(scope="module")
def redis_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisHere]:
    """A Redis server for tests that keep to streams of their own names."""
    server = RedisHere(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def redis_alone(tmp_path: Path) -> Iterator[RedisHere]:
    """A Redis server that a test may kill."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisHere(folder)
    yield server
    server.stop()


@pytest.fixture
def double() -> Iterator[None]:
    """Double precision, with everything that was read off in single precision forgotten."""
    caches = (unknowns_of, outcome_kind, registry._build, registry.build_model)
    for cache in caches:
        cache.cache_clear()
    with jax.enable_x64(True):
        yield
    for cache in caches:
        cache.cache_clear()


@pytest.fixture(autouse=True)
def nominal(request: pytest.FixtureRequest) -> None:
    """A report says how often a test may fail by chance, for whoever repeats it (tests/nightly)."""
    if marker := request.node.get_closest_marker("rate"):
        request.node.user_properties.append(("rate", marker.args[0]))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What lies in tests/statistical carries its marker, so that `pytest` alone stays quick."""
    for item in items:
        if "statistical" in item.path.parts:
            item.add_marker(pytest.mark.statistical)
