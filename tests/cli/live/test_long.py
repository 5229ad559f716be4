"""`uncertain run` for as long as it takes: memory stays flat and nothing is compiled again.

See also: ../test_fuzzed.py for malformed lines.
"""

import os
from collections.abc import Iterator

import numpy as np
import pytest
from feeding import Fed, fed, slope

pytestmark = pytest.mark.live

LINEAR = ("--model", "linear:arms=3:features=2", "--on-error", "skip")
AT_ONCE = 300
"""Events of a chunk: a third of them decided here, of which the observation comes later."""
LEAK = 2.0
"""Bytes an event that are too many: 20 MB after 10^7 events."""
WARM = 400_000
"""Events until buffers of fixed size are full: the last 100 000 latencies of decisions are kept."""
FALSE_ALARM = 4.4
"""Standard errors, for a false alarm once in 10^5 runs."""


def events(count: int, answered: bool = True) -> Iterator[bytes]:
    """Chunks of about `count` events in all: requests, complete events, late observations, and now
    and then a wrong line. answered: whether requests ever get their observation."""
    third = AT_ONCE // 3
    for start in range(0, count, AT_ONCE):
        found = []
        for i in range(start, start + third):
            x = i % 97 / 50 - 1
            found.append(b'{"id":"d%d","x":[%f,1],"t":%d}' % (i, x, i))
            for name in b"ab":
                found.append(
                    b'{"id":"%c%d","x":[1,%f],"action":%d,"propensity":0.5,"y":%f}'
                    % (name, i, x, i % 3, x / 2)
                )
        found.append(b'{"id":%d,"x":"wrong"}' % start)
        if answered:
            found += [
                b'{"id":"d%d","y":%f}' % (i, i % 89 / 45) for i in range(start, start + third)
            ]
        yield b"\n".join(found) + b"\n"


def lasted(count: int, *options: object, answered: bool = True) -> Fed:
    """A run over so many events, each line answered and nothing compiled again."""
    total = count * (4 if answered else 3) // 3
    found = fed(events(count, answered), total, *LINEAR, *options)
    assert found.status == 0, found.said
    assert found.replies == found.lines
    assert found.refused == -(-count // AT_ONCE)
    assert found.before > 0
    assert found.after == 0
    return found


def per_event(found: Fed, count: int) -> tuple[float, float]:
    """Bytes an event, and the standard error, once it is warm."""
    lines = found.replies / count
    bytes_, error = slope(found.memory, lines * WARM)
    return bytes_ * lines, error * lines


@pytest.mark.nightly
def test_nothing_is_compiled_again() -> None:
    found = lasted(6_000)
    # Every sort of line was there.
    assert "2000 decisions, 6000 events learnt" in found.said


def test_the_slope_of_memory_is_known_with_its_error() -> None:
    x = np.arange(500) * 1000.0
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(size=500)) * 4096
    flat, error = slope(np.stack([x, 1e8 + rng.normal(size=500) * 4096], 1))
    assert abs(flat) < FALSE_ALARM * error
    steep, error = slope(np.stack([x, 1e8 + 3 * x + rng.normal(size=500) * 4096], 1))
    assert abs(steep - 3) < FALSE_ALARM * error
    # Steps that stay for long are worth less than their number.
    _, apart = slope(np.stack([x, rng.permutation(walk)], 1))
    _, together = slope(np.stack([x, walk], 1))
    assert together > 2 * apart


@pytest.mark.nightly
def test_memory_that_grows_is_noticed() -> None:
    """Negative control: decisions that wait for an observation that never comes."""
    count = 2 * WARM
    found = lasted(count, "--horizon", 10**9, answered=False)
    bytes_, error = per_event(found, count)
    assert bytes_ - FALSE_ALARM * error > LEAK


@pytest.mark.soak
def test_ten_million_events() -> None:
    """UNCERTAIN_LONG_EVENTS: another number, from 10^6 on."""
    count = int(os.environ.get("UNCERTAIN_LONG_EVENTS", 10**7))
    found = lasted(count)
    bytes_, error = per_event(found, count)
    first, last = (np.interp(x, *found.memory.T) / 2**20 for x in (WARM, found.replies))
    print(f"\n{count} events, {found.replies} lines in {found.seconds:.0f} s, "
          f"{found.replies / found.seconds:,.0f} a second\n"
          f"memory {first:.1f} MiB once warm, {last:.1f} at last: {bytes_:.3f} ± {error:.3f} bytes "
          f"an event\n"
          f"{found.before} programs compiled before the first line, {found.after} later\n"
          f"{found.said}")  # fmt: skip
    assert bytes_ - FALSE_ALARM * error < LEAK
