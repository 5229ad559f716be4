"""`--status` and `--metrics`: the counts while a run goes on.

See also: test_run.py and test_rejected.py for the counts at the end.
"""

import io
import itertools
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections import deque
from types import SimpleNamespace

import pytest
from console import call, lines
from uncertain.cli.live.status import BOUNDS, RECENT, Timing, Watch
from uncertain.decide.loop.server.counters import Counters
from uncertain.streams.formats.ndjson import LineWriter
from uncertain.streams.inputs.file import FileInput
from uncertain.streams.inputs.rejected import RejectedLines

pytestmark = pytest.mark.live

RUN = ("run", "--model", "linear:arms=3:features=1")
MAIN = (sys.executable, "-c", "from uncertain.cli.main import main; main()")


class Clock:
    """Seconds that pass when told to."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def watched(every: float | None = 5.0, source: object = None, **tally: int):
    """A watch of a stand-in for a server, its clock, and what it said."""

    class Waiting(list):
        dropped = 0

    server = SimpleNamespace(counters=Counters(**tally), pending=Waiting([1, 2]))
    refusals, clock, said = RejectedLines(), Clock(), []
    watch = Watch(server, source or object(), refusals, every, said.append, clock)  # type: ignore[arg-type]
    return watch, clock, said


def test_a_line_is_about_its_interval() -> None:
    watch, clock, said = watched(late=3)
    assert watch.pause() == 5
    for number in range(100):
        watch.count_reply({"id": number, "latency": {"decide": (number + 1) * 1e-5}})
    for _ in range(20):
        watch.count_reply({"id": 1, "realised_gain": 0.5, "nll": 1.0, "latency": {"learn": 2e-6}})
    watch.count_reply({"id": 1, "realised_gain": None, "nll": None, "latency": {"learn": None}})
    watch.count_reply({"id": None, "error": "wrong"})
    watch.refusals.reasons.update({"not JSON": 2, "too long": 1})
    clock.now += 4
    assert watch.pause() == 1
    assert not said
    clock.now += 2
    assert watch.pause() == 4
    assert said == [
        "6 s: 20.3 lines/s, decide p50 500 µs p99 990 µs, learn p50 2 µs p99 2 µs, "
        "gain 1.67 nats/s, 2 waiting, 3 refused (2 not JSON, 1 too long), 3 late"
    ]
    clock.now += 4
    watch.pause()
    assert said[1].startswith("10 s: 0.0 lines/s, gain 0 nats/s, 2 waiting")
    # After a stall there is one line, not one for every interval missed.
    clock.now += 60
    for _ in range(9):
        watch.pause()
    assert len(said) == 3


def test_a_line_says_what_was_found_of_the_model() -> None:
    watch, clock, said = watched()
    alarm = {"log_e": -1.25, "highest": 0.5, "change": 1.0, "within_50": 0.5, "within_90": 0.875}
    watch.count_reply({"id": 1, "alarm": alarm, "latency": {"learn": 2e-6}})
    watch.count_reply({"id": 2, "alarm": None, "latency": {"learn": None}})
    clock.now += 5
    watch.pause()
    words = "evidence against the model e^-1.2 (highest e^0.5), 90 % intervals held 88%, 2 waiting"
    assert words in said[0]


def test_without_a_status_nothing_is_said() -> None:
    watch, clock, said = watched(None)
    clock.now += 1e6
    assert watch.pause() is None
    assert not said


def test_what_only_some_inputs_know() -> None:
    watch, clock, said = watched(5, SimpleNamespace(clients=4, behind=lambda: 12_345))
    clock.now += 5
    watch.pause()
    assert said[0].endswith("2 waiting, 0 refused, 4 clients, 12,345 bytes behind")
    for lag, words in ((7_000, "0 refused, 7,000 entries not yet read"), (None, "0 refused")):
        watch, clock, said = watched(5, SimpleNamespace(lag=lambda lag=lag: lag))
        clock.now += 5
        watch.pause()
        assert said[0].endswith(words)


def test_timings_stay_bounded_and_bins_hold_all() -> None:
    timing = Timing()
    for number in range(3 * RECENT):
        timing.add(1e-5 if number < RECENT else 3e-3)
    timing.add(7.0)
    assert len(timing.recent) == RECENT
    assert sum(timing.bins) == 3 * RECENT + 1
    assert timing.bins[0] == RECENT
    assert timing.bins[-1] == 1
    assert timing.bins[BOUNDS.index(5e-3)] == 2 * RECENT
    assert timing.restart() == "p50 3,000 µs p99 3,000 µs"
    assert timing.restart() == ""


def test_standard_input_is_waited_for_no_longer_than_asked() -> None:
    read, write = os.pipe()
    with open(read, "rb") as stdin, open(write, "wb", 0) as out:
        reading = FileInput("-", LineWriter(io.BytesIO()), stdin)
        begin = time.monotonic()
        assert reading.take(0.05) is None
        assert 0.04 < time.monotonic() - begin < 5
        out.write(b'{"id":1}\n{"id":2}\n{"id"')
        assert [reading.take(5).line for _ in range(2)] == [b'{"id":1}', b'{"id":2}']  # type: ignore[union-attr]
        assert reading.take(0.01) is None
        assert not reading.ended
        out.close()
        last = reading.take(5)
        assert last is not None
        assert (last.line, last.whole, last.offset) == (b'{"id"', False, 18)
        assert reading.take(5) is None
        assert reading.ended


@pytest.fixture
def live():
    """A process with a pipe to ask at, status and metrics."""
    words = [*MAIN, *RUN, "--no-cache", "--on-error", "skip", "--status", "0.2s"]
    process = subprocess.Popen(
        [*words, "--metrics", "tcp:127.0.0.1:0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


def test_a_process_says_how_it_goes(live) -> None:
    address = next(line for line in live.stderr if "metrics at" in line).split()[-1]
    rest = [{"id": i, "y": 1} for i in range(3)]
    for one in ({"id": 0, "x": [1]}, {"id": 1, "x": [1]}, *rest, {"id": 9}, {"id": 8}):
        live.stdin.write(json.dumps(one) + "\n")
        live.stdin.flush()
        json.loads(live.stdout.readline())
    # It waits for more, and speaks all the same.
    seen = deque(maxlen=1)
    for line in itertools.islice(live.stderr, 200):
        if re.search(r" s: .*waiting", line):
            seen.append(line)
            if "2 refused" in line and " 0.0 lines/s" in line:
                break
    assert "0 waiting, 2 refused (2 wrong value), 1 unmatched" in seen[0]
    with urllib.request.urlopen(address, timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        text = answer.read().decode()
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[:1] != "#")
    expected = {
        "uncertain_answered_total": 7, "uncertain_decisions_total": 2, "uncertain_learnt_total": 2,
        "uncertain_unmatched_total": 1, "uncertain_waiting": 0,
        'uncertain_refused_total{reason="wrong value"}': 2, "uncertain_decide_seconds_count": 2,
        'uncertain_learn_seconds_bucket{le="+Inf"}': 2,
    }  # fmt: skip
    assert {name: float(values[name]) for name in expected} == expected
    assert float(values["uncertain_gain_nats"]) > 0
    # Two observations cannot say much.
    assert abs(float(values["uncertain_evidence_nats"])) < 3
    assert float(values["uncertain_within_90"]) in (0, 0.5, 1)
    assert float(values["process_resident_memory_bytes"]) > 1e7
    bins = [float(v) for k, v in values.items() if k.startswith("uncertain_decide_seconds_b")]
    assert bins == sorted(bins)
    out, err = live.communicate(timeout=20)
    assert (live.returncode, out) == (0, "")
    assert "2 decisions, 2 events learnt" in err
    assert "2 lines refused" in err


def test_what_is_wrong_with_it(monkeypatch) -> None:
    for options, words in (
        (("--status", "often"), "write 5ms"),
        (("--metrics", "9090"), "no address"),
        (("--metrics", "unix:x"), "write tcp:127.0.0.1:9090"),
        (("--metrics", "tcp:0.0.0.0:0"), "--allow-remote"),
    ):
        result = call(*RUN, *options)
        assert (result.status, len(result.errors)) == (2, 1)
        assert words in result.err
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    result = call(*RUN, "--metrics", "tcp:127.0.0.1:0")
    assert (result.status, len(result.errors)) == (2, 1)
    assert "pip install 'uncertain[metrics]'" in result.err


def test_answers_are_the_same_with_it() -> None:
    given = lines(*({"id": i, "x": [1]} for i in range(5)))
    watched_rows = call(*RUN, "--status", "1ms", stdin=given).rows
    for row in (plain := call(*RUN, stdin=given).rows) + watched_rows:
        del row["latency"]
    assert watched_rows == plain
