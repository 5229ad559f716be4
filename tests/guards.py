"""A plugin of pytest that takes the guard of each test away while the test runs.

See also: test_guards.py, which runs it in a process of its own.
"""

import json
import math
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from uncertain.decide.judge.engine import timing_lock
from uncertain.decide.judge.measures import experiment, offpolicy
from uncertain.decide.loop.core import host_arrays, program_cache, step
from uncertain.decide.loop.durable import recovery, reply_log
from uncertain.decide.loop.durable.seen_ids import SeenIds
from uncertain.posteriors import archives
from uncertain.posteriors.parts import policy_file
from uncertain.streams.formats import ndjson
from uncertain.streams.formats.tables import parquet
from uncertain.streams.inputs.client import Client
from uncertain.streams.storage import log_faults, private, wal

OUTCOMES = "UNCERTAIN_GUARDS_OUTCOMES"
"""Names the file that outcomes are written to."""
KEPT = "UNCERTAIN_GUARDS_KEPT"
"""Is there where guards are to stay."""

Patch = Callable[[pytest.MonkeyPatch], None]


def nothing(*arguments: Any, **named: Any) -> None:
    """In place of a check that raises."""


def instead(owner: Any, **values: Any) -> Patch:
    """Values in place of an object's own."""

    def patch(patched: pytest.MonkeyPatch) -> None:
        for name, value in values.items():
            patched.setattr(owner, name, value)

    return patch


def without_weights(patched: pytest.MonkeyPatch) -> None:
    real = offpolicy.OffPolicy.add
    patched.setattr(offpolicy.OffPolicy, "add", lambda self, *parts: real(self, *parts[:5]))


def without_propensities(patched: pytest.MonkeyPatch) -> None:
    real = offpolicy.OffPolicy.add

    def add(self: Any, reward: Any, logged: Any, *more: Any) -> None:
        real(self, reward, np.maximum(logged, 1e-12), *more)

    patched.setattr(offpolicy.OffPolicy, "add", add)


def without_digests(patched: pytest.MonkeyPatch) -> None:
    class Any_(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            return True

        def __ne__(self, other: object) -> bool:
            return False

    patched.setattr(policy_file, "_digest", lambda weights: Any_())


def without_mark(patched: pytest.MonkeyPatch) -> None:
    real = recovery.find_fault
    patched.setattr(
        recovery, "find_fault", lambda folder, after, name, check: real(folder, after, None, check)
    )


def unpickled(body: bytes) -> Any:
    """What a cache of pickles would do."""
    return pickle.loads(body)


def shared_lock() -> Path:
    """A name that anybody can take."""
    return Path(tempfile.gettempdir()) / f"uncertain-{os.getuid()}" / "timing.lock"


ROOM = "tests/decide/loop/durable"
GUARDS: dict[str, tuple[str, Patch]] = {
    "a belief stays finite": (
        "tests/cli/live/test_spoilt.py::test_the_belief_is_as_without_the_line",
        instead(step, keeps_whole=lambda *parts: jnp.bool_(True))),
    "numbers beyond float32's reach": (
        "tests/cli/live/test_spoilt.py::test_the_run_ends_at_the_line_and_names_the_field",
        instead(host_arrays, LARGEST=math.inf)),
    "chain of checksums": (
        f"{ROOM}/test_damaged.py::test_a_segment_of_another_run_is_refused",
        instead(log_faults, link_damage=lambda segment, check: "")),
    "mark of the newest segment": (
        f"{ROOM}/test_durable.py::test_a_newest_segment_that_is_gone_is_noticed", without_mark),
    "mark of the output": (
        f"{ROOM}/test_damaged.py::test_a_segment_that_is_cut_between_records_is_noticed",
        instead(reply_log, check_output=nothing)),
    "ids already learnt": (
        f"{ROOM}/test_durable.py::test_a_feeder_that_begins_again_is_recognised",
        instead(SeenIds, __contains__=lambda self, key: False)),
    "lock of the folder": (
        f"{ROOM}/test_durable.py::test_another_run_s_folder_is_refused",
        instead(recovery.fcntl, flock=nothing)),
    "the folder is still there": (
        "tests/cli/live/test_resume.py::test_a_folder_that_is_moved_ends_the_run",
        instead(wal.WriteAheadLog, check_place=nothing)),
    "half lines are dropped": (
        "tests/streams/inputs/test_sockets.py::test_half_lines_cannot_shut_others_out",
        instead(Client, half_for=lambda self, now: 0.0)),
    "a key given twice": (
        "tests/streams/formats/test_repeated_keys.py::test_is_refused_by_name",
        instead(ndjson, refuse_repeated_keys=nothing)),
    "propensities above 1": (
        "tests/streams/formats/test_ndjson.py::test_bad_lines_name_file_line_field_and_remedy",
        instead(ndjson, _continuous=lambda fields: True)),
    "propensities of 0": (
        "tests/decide/judge/measures/test_offpolicy.py::test_a_propensity_of_zero_is_refused",
        without_propensities),
    "weights of logged events": (
        "tests/decide/judge/measures/test_offpolicy.py::test_a_weight_counts_as_repetitions",
        without_weights),
    "intervals of few events": (
        "tests/decide/judge/measures/test_offpolicy.py::test_no_interval_of_few_events_or_of_no_width",
        instead(offpolicy, LEAST_FOR_INTERVAL=0)),
    "no pickles in caches": (
        "tests/decide/loop/core/test_program_cache.py::test_nothing_in_a_file_is_run",
        instead(program_cache, decode_skeleton=unpickled)),
    "files for their owner alone": (
        "tests/cli/live/test_private_files.py::test_nothing_is_exposed",
        instead(private, FILE=0o666, FOLDER=0o777)),
    "a lock that nobody else can take": (
        "tests/decide/judge/engine/test_timing_lock.py::test_what_another_user_took_first_is_left",
        instead(timing_lock, lock_file=shared_lock)),
    "bombs of npz": (
        "tests/posteriors/test_archives.py::test_what_unpacks_to_far_more_is_refused",
        instead(archives, RATIO=math.inf)),
    "two arrays of one name": (
        "tests/posteriors/test_archives.py::test_a_name_twice_is_refused",
        instead(archives, find_twice=nothing)),
    "bombs of Parquet": (
        "tests/cli/fuzzed/test_logs.py::test_rows_of_many_numbers_are_decoded_few_at_a_time",
        instead(parquet, VALUES=10**9)),
    "experiments of too many cells": (
        "tests/cli/fuzzed/test_experiments.py::test_a_grid_of_too_many_cells_is_refused",
        instead(experiment, check_size=nothing)),
    "weights of a policy": (
        "tests/cli/fuzzed/test_policies.py::test_other_weights_are_refused",
        without_digests),
}  # fmt: skip
"""The test that is there for a guard, and what takes the guard away."""


def guard_of(nodeid: str) -> str | None:
    """The guard that a test is there for."""
    whole = nodeid.partition("[")[0]
    return next((name for name, (test, _) in GUARDS.items() if test in (nodeid, whole)), None)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Run a test without its guard."""
    name = guard_of(pyfuncitem.nodeid)
    with pytest.MonkeyPatch.context() as patched:
        if name is not None and KEPT not in os.environ:
            GUARDS[name][1](patched)
        return (yield)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write how a test ended."""
    if report.when == "call" or report.outcome != "passed":
        line = {"guard": guard_of(report.nodeid), "when": report.when, "outcome": report.outcome}
        with open(os.environ[OUTCOMES], "a") as file:
            file.write(json.dumps(line) + "\n")
