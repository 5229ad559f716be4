"""Malformed lines: made by hypothesis, and real logs with bytes changed.

No crash, no hang, a reply to each, memory bounded.

See also: live/test_rejected.py for the messages, tests/streams/inputs/test_sockets.py for clients
of a socket.
"""

import gzip
import json
import os
import random
import resource
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from console import call
from feeding import fed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from killing import known_of
from rubbish import mutated
from uncertain.cli.commands.run import RunOptions
from uncertain.cli.live.run import build_server
from uncertain.streams.formats.ndjson import FIELDS, decode_line
from uncertain.streams.formats.record import LineError, Where

pytestmark = pytest.mark.live

LINEAR = "linear:arms=3:features=2"
BATCH = 10_000
"""Lines mutated at a time."""
GROWTH = 50 << 20
"""Bytes that a process may grow by after its first tenth, buffers of fixed size included."""

ids = st.integers(0, 5) | st.text(max_size=3)
number = st.floats(-3, 3) | st.floats() | st.integers(-(10**20), 10**20)
arm = st.integers(-1, 3) | st.text(max_size=2)
vector = st.lists(number, max_size=3) | st.tuples(st.floats(-1, 1), st.floats(-1, 1))
SENSIBLE = {
    "id": ids, "t": number, "x": vector, "action": arm | vector, "y": number | vector, "r": number,
    "actions": st.lists(arm | vector | st.fixed_dictionaries(
        {"id": ids}, optional={"x": vector, "cost": number}), max_size=4),
    "propensity": st.floats(0, 1), "deadline": st.floats(0, 1), "weight": st.floats(0, 3),
    "cost": st.lists(number, max_size=4),
}  # fmt: skip
anything = st.recursive(
    st.none() | st.booleans() | number | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)
whole = st.fixed_dictionaries(
    {"id": ids}, optional={name: SENSIBLE[name] for name in FIELDS if name != "id"}
)
moderate = st.floats(-3, 3)
usual = st.fixed_dictionaries(
    {"id": st.integers(0, 10**9) | ids, "x": st.tuples(moderate, moderate)},
    optional={"t": st.floats(0, 1e6), "action": st.integers(0, 2), "y": moderate},
) | st.fixed_dictionaries({"id": ids, "y": moderate})
broken = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), anything, max_size=5)
texts = (
    st.one_of(usual, usual, whole, broken).map(lambda fields: json.dumps(fields).encode())
    | st.binary(max_size=60)
).map(lambda line: line.replace(b"\n", b" "))


@pytest.fixture(scope="module")
def server():
    """Compiled once; each example goes on where the last one left it."""
    return build_server(RunOptions(model=LINEAR, horizon=3))


@settings(max_examples=40, deadline=None)
@given(st.lists(texts, max_size=8))
def test_a_line_is_answered_or_changes_nothing(server, found: list[bytes]) -> None:
    before, traces = known_of(server), server.traces()
    for number, line in enumerate(found, 1):
        try:
            reply = server.answer(decode_line(line, Where("fuzzed", number)))
        except LineError as error:
            wrong = str(error).splitlines()
        else:
            wrong, before = [json.dumps(reply, allow_nan=False)], known_of(server)
        assert len(wrong) == 1
        assert known_of(server) == before
    assert server.traces() == traces


def asked_for() -> int:
    """Lines of the long tests together."""
    return int(os.environ.get("UNCERTAIN_LINES", 10**6))


def survived(chunks: Iterator[bytes], total: int, *options: object) -> str:
    """`uncertain run` on all of them; its counts."""
    found = fed(chunks, total, "--on-error", "skip", "--max-line", 10_000, *options)
    assert found.status == 0, found.said
    assert found.replies == found.lines
    # Some were good, some were not; none of either sort would be no test.
    assert 0 < found.refused < found.replies
    assert found.after == 0
    early = found.memory[len(found.memory) // 10, 1]
    late = found.memory[-1, 1]
    assert late - early < GROWTH
    return (
        f"{found.replies} lines, {found.refused} refused, {found.seconds:.0f} s, "
        f"memory {early / 2**20:.0f} MiB after a tenth, {late / 2**20:.0f} at the end"
    )


def mutations(good: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Chunks of so many lines, each one of the good ones with bytes changed."""
    chance = random.Random(seed)
    for start in range(0, count, BATCH):
        several = range(min(BATCH, count - start))
        yield b"".join(mutated(chance, chance.choice(good)) for _ in several)


@pytest.mark.soak
def test_lines_made_by_hypothesis() -> None:
    count = asked_for() // 10
    made: list[bytes] = []

    @settings(
        max_examples=count // 4, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.lists(texts, min_size=8, max_size=8))
    def collect(some: list[bytes]) -> None:
        made.extend(some)

    collect()
    del made[count:]
    chunks = (b"\n".join(made[at : at + 100]) + b"\n" for at in range(0, len(made), 100))
    print("\nmade by hypothesis:", survived(chunks, len(made), "--model", LINEAR))


LIVE = {
    "obd_small/random/men/men.csv.gz": ("logistic:arms=34:features=28", ""),
    "vw_cb/dsjson_cb.json.gz": ("linear:features=10", "Latte,Mocha,Cappucino,Espresso"),
    "vw_cb/cb_test256.json.gz": ("linear:arms=0:features=13", ""),
}


def halves(line: str) -> Iterator[bytes]:
    """A logged event as it is, as a request, and as the observation of that."""
    event = json.loads(line)
    yield line.encode() + b"\n"
    for names in (("id", "t", "x", "actions"), ("id", "y")):
        part = {name: event[name] for name in names if name in event}
        part["id"] = f"r{event['id']}"
        yield json.dumps(part).encode() + b"\n"


@pytest.mark.soak
@pytest.mark.parametrize("name", list(LIVE))
def test_mutations_of_real_logs_live(data: Path, name: str) -> None:
    count = asked_for() // 5
    model, arms = LIVE[name]
    log = call("convert", data / name, "-", "--to", "ndjson")
    assert log.status == 0, log.err
    good = [half for line in log.out.splitlines()[:2000] for half in halves(line)]
    options = ("--model", model, *(("--arms", arms) if arms else ()))
    print(f"\n{name}:", survived(mutations(good, count, 5), count, *options))


READ = {
    "obd_small/random/men/men.csv.gz": "openbandit",
    "vw_cb/dsjson_cb.json.gz": "dsjson",
    "vw_cb/rcv1_raw_cb_small.vw.gz": "vw",
}


@pytest.mark.soak
@pytest.mark.parametrize("name", list(READ))
def test_mutations_of_real_logs_read(data: Path, tmp_path: Path, name: str) -> None:
    """In batches, each a file that is read to its end."""
    count = asked_for() // 10
    head, good = read_of(data / name, READ[name])
    told: Counter[str] = Counter()
    peaks = []
    for seed, batch in enumerate(mutations(good, count, 6)):
        path = tmp_path / "mutated"
        path.write_bytes(head + batch)
        result = call("validate", path, "--format", READ[name])
        assert result.status in (0, 1), result.err
        (row,) = result.rows
        told.update(row["reasons"])
        told["events"] += row["events"]
        assert len(result.errors) <= 22, seed
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10)
    assert told["events"] > 0
    assert told.total() > told["events"]
    assert peaks[-1] - peaks[0] < GROWTH
    print(
        f"\n{name}: {count} lines, {dict(told)}, peak {peaks[0] >> 20} then {peaks[-1] >> 20} MiB"
    )


def read_of(path: Path, form: str) -> tuple[bytes, list[bytes]]:
    """The header of a file, empty where it has none, and its lines."""
    lines = gzip.decompress(path.read_bytes()).splitlines(True)[:2000]
    return (lines[0], lines[1:]) if form == "openbandit" else (b"", lines)
