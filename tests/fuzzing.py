"""Feed a reader damaged files: each is read rightly or refused in a line, soon, in little memory.

See also: cli/fuzzed/test_logs.py for files, rubbish.py for lines.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from console import call
from uncertain.posteriors.errors import UsageError

SLOWEST = 5.0
"""Seconds that one file may take."""
LARGEST = 1 << 30
"""Bytes that a process may grow by while it reads one file."""
ENOUGH = 20
"""Faults that are listed before a survey gives up."""
MOST_BYTES = 20_000
"""Length of a repeated span."""


def asked_for(name: str = "UNCERTAIN_MUTATIONS") -> int:
    """Files of each kind; fewer where the environment says so."""
    return int(os.environ.get(name, 10**5))


class Hang(BaseException):
    """A reader took too long; no handler of ordinary errors takes it for one."""


class Mistake(AssertionError):
    """A reader took a file for another than it is."""


@dataclass
class Survey:
    """What became of the files.

    told: how many were read and how many refused. faults: those of the others, with what was done
    to the file. slowest: seconds. largest: bytes of growth, each of one file.
    """

    told: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0
    largest: int = 0

    def __str__(self) -> str:
        return (
            f"{self.told.total()} files, {self.told['read']} read, {self.told['refused']} refused, "
            f"{len(self.faults)} faults; slowest {self.slowest:.2f} s, largest "
            f"{self.largest / 2**20:.0f} MiB" + "".join(f"\n  {fault}" for fault in self.faults)
        )


def survey(
    files: Iterator[tuple[str, Path]],
    read: Callable[[Path], None],
    command: Callable[[Path], tuple[object, ...]] | None = None,
    every: int = 50,
    slowest: float = SLOWEST,
) -> Survey:
    """Read each file, and see to what comes of it.

    files: what was done, and where the file is.
    read: the reader; raises UsageError to refuse, Mistake where it is wrong about the file.
    command: arguments that read the same, run for each `every`th file.
    slowest: seconds of the processor that a file may take, whatever else the machine does.
    """
    found = Survey()
    before = signal.signal(signal.SIGPROF, _too_long)
    try:
        for number, (what, path) in enumerate(files):
            resident = _watch()
            began = time.process_time()
            outcome = _outcome(read, path, slowest)
            found.slowest = max(found.slowest, time.process_time() - began)
            grown = _memory("VmHWM") - resident
            found.largest = max(found.largest, grown)
            if grown > LARGEST:
                outcome = f"{grown >> 20} MiB"
            if command is not None and number % every == 0 and outcome in ("read", "refused"):
                outcome = _agrees(outcome, command(path))
            if outcome in ("read", "refused"):
                found.told[outcome] += 1
                continue
            found.told["fault"] += 1
            found.faults.append(f"{number}, {what}: {outcome}")
            if len(found.faults) == ENOUGH:
                break
    finally:
        signal.signal(signal.SIGPROF, before)
    return found


def _too_long(*_: object) -> None:
    raise Hang


def _outcome(read: Callable[[Path], None], path: Path, slowest: float) -> str:
    """`read`, `refused`, or the fault."""
    try:
        # Again each second: an error in the midst of collecting garbage is passed over.
        signal.setitimer(signal.ITIMER_PROF, slowest, 1.0)
        try:
            read(path)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    except UsageError as error:
        told = str(error)
        if "\n" in told or str(path) not in told:
            return f"refused without its name, or in several lines: {told[:300]!r}"
        return "refused"
    except Hang:
        return f"took more than {slowest} s"
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:300]}"
    return "read"


def _agrees(outcome: str, arguments: tuple[object, ...]) -> str:
    """The outcome, or how the command's is another."""
    result = call(*arguments)
    refused = outcome == "refused"
    if (result.status == 2) != refused or result.status not in (0, 1, 2):
        return f"exit {result.status} of {arguments} where it was {outcome}: {result.err[:300]}"
    if refused and len(result.errors) != 1:
        return f"{len(result.errors)} lines of errors: {result.err[:300]}"
    return outcome


def _watch() -> int:
    """Forget the most memory ever held; what is held now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(name: str) -> int:
    """Bytes."""
    text = Path("/proc/self/status").read_text()
    return int(text.partition(f"{name}:")[2].split()[0]) << 10


def spoil(chance: random.Random, content: bytes, others: list[bytes]) -> tuple[str, bytes]:
    """What was done, and the content after one to three changes."""
    body, done = bytearray(content), []
    for _ in range(chance.randint(1, 3)):
        size = max(len(body), 1)
        place, span = chance.randrange(size), chance.randint(1, min(size, 64))
        kind = chance.choice(("flip", "set", "cut", "drop", "repeat", "splice", "number"))
        done.append(f"{kind} at {place}")
        if not body:
            break
        if kind == "flip":
            body[place] ^= 1 << chance.randrange(8)
        elif kind == "set":
            body[place] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        elif kind == "cut":
            del body[place:]
        elif kind == "drop":
            del body[place : place + span]
        elif kind == "repeat":
            body[place:place] = (body[place : place + span] * MOST_BYTES)[:MOST_BYTES]
        elif kind == "splice":
            other = chance.choice(others)
            start = chance.randrange(max(len(other), 1))
            body[place : place + span] = other[start : start + chance.randint(1, 400)]
        else:
            width = chance.choice((2, 4, 8))
            number = chance.choice((0, 1, -1, 1 << (8 * width - 1), chance.getrandbits(8 * width)))
            body[place : place + width] = (number % (1 << 8 * width)).to_bytes(width, "little")
    return ", ".join(done), bytes(body)


def nested(depth: int) -> Any:
    """Lists in lists."""
    made: Any = []
    for _ in range(depth):
        made = [made]
    return made


def odd(chance: random.Random) -> Any:
    """A value that was not meant: of another type, huge, deep, empty, or no number."""
    return chance.choice(
        (
            None, True, False, 0, 1, -1, 7, 0.5, -0.0, 1e-320, 1e308, -1e308, 2**31, 2**63, 10**30,
            10**400, float("nan"), float("inf"), "", "a", "1", "random", "a\nb\x1b[2J\0", "é" * 9,
            "x" * 100_000, [], {}, [[]], [1, "a"], [0.5] * 1000, {"mean": None}, {"mean": "a"},
            {"": {}}, nested(30), nested(900), list(range(70)), ["point"] * 70,
        )
    )  # fmt: skip


def twist(chance: random.Random, tree: Any) -> str:
    """Change a random place of a tree of lists and dictionaries, in place; what was done."""
    inner = [(tree, key) for key in _keys(tree)]
    for whole, key in inner:
        inner += [(whole[key], below) for below in _keys(whole[key])]
        if len(inner) > 400:
            break
    if not inner:
        return "nothing"
    whole, key = chance.choice(inner)
    kind = chance.choice(("set", "set", "set", "drop", "rename", "move"))
    if kind == "drop":
        del whole[key]
    elif kind == "rename" and isinstance(whole, dict):
        whole[chance.choice((f"{key}x", "", "a.b", "\n"))] = whole.pop(key)
    elif kind == "move":
        other, name = chance.choice(inner)
        whole[key] = other[name] if name in _keys(other) else None
        if whole[key] is whole or isinstance(whole[key], dict | list):
            whole[key] = "moved"
    else:
        whole[key] = odd(chance)
    return f"{kind} {str(key)[:40]!r} to {str(whole[key])[:60] if key in _keys(whole) else '-'}"


def _keys(tree: Any) -> list[Any]:
    """Where its parts are."""
    if isinstance(tree, dict):
        return list(tree)
    return list(range(len(tree))) if isinstance(tree, list) else []
