"""Feed `uncertain run` as a process through a pipe, however many lines, and watch its memory.

See also: killing.py for processes that are killed.
"""

import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

MAIN = (sys.executable, "-c", "from uncertain.cli.main import main; main()")
PAGE = os.sysconf("SC_PAGE_SIZE")
HUNG = 120.0
"""Seconds without a reply, while lines wait for one, after which a process counts as hung."""
SAMPLES = 500
"""Looks at its memory."""
COMPILING = "Compiling "
"""What JAX says of each program under JAX_LOG_COMPILES."""


class Fed(NamedTuple):
    """lines: that were not blank. replies: to them. refused: of those. memory: `[N, 2]`, replies so
    far and bytes held then. before, after: programs compiled before it was ready, and later.
    seconds: from the first line to the last reply. status: of the process. said: by it."""

    lines: int
    replies: int
    refused: int
    memory: np.ndarray
    before: int
    after: int
    seconds: float
    status: int
    said: str


def fed(chunks: Iterable[bytes], total: int, *options: object) -> Fed:
    """Run `uncertain run OPTIONS` on lines that are made as they are taken.

    chunks: whole lines each. total: about how many there will be. Fails where the process hangs.
    """
    words = [*MAIN, "run", *map(str, options), "--no-cache"]
    with tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, bufsize=0,
            env={**os.environ, "JAX_LOG_COMPILES": "1"},
        )  # fmt: skip
        sent = [0]
        feeder = threading.Thread(target=feed, args=(process, chunks, sent), daemon=True)
        feeder.start()
        try:
            replies, refused, memory, seconds = heard(process, sent, max(total // SAMPLES, 1))
            feeder.join(HUNG)
            status = process.wait(HUNG)
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        err.seek(0)
        said = err.read().decode()
    before, _, after = said.partition("ready after")
    told = "".join(line for line in said.splitlines(True) if line.startswith("uncertain: "))
    return Fed(
        sent[0], replies, refused, np.asarray(memory, float), before.count(COMPILING),
        after.count(COMPILING), seconds, status, told,
    )  # fmt: skip


def feed(process: subprocess.Popen[bytes], chunks: Iterable[bytes], sent: list[int]) -> None:
    """Write all chunks; sent[0] counts the lines that are due a reply."""
    assert process.stdin is not None
    with process.stdin as pipe:
        for chunk in chunks:
            sent[0] += sum(bool(line.strip()) for line in chunk.split(b"\n"))
            view = memoryview(chunk)
            try:
                while view:
                    view = view[pipe.write(view) :]
            except BrokenPipeError:
                # It ended; the test will say what it thinks of that.
                return


def heard(
    process: subprocess.Popen[bytes], sent: list[int], every: int
) -> tuple[int, int, list[tuple[int, int]], float]:
    """Count replies to the end of the output, looking at the memory after `every` so many."""
    assert process.stdout is not None
    replies = refused = 0
    memory: list[tuple[int, int]] = []
    began = last = time.monotonic()
    tail = b""
    while True:
        if not select.select([process.stdout], [], [], 1.0)[0]:
            assert time.monotonic() - last < HUNG, f"hung after {replies} of {sent[0]} lines"
            continue
        last = time.monotonic()
        chunk = os.read(process.stdout.fileno(), 1 << 16)
        if not chunk:
            return replies, refused, memory, last - began
        began = last if not replies else began
        *lines, tail = (tail + chunk).split(b"\n")
        replies += len(lines)
        refused += sum(b'"error":' in line for line in lines)
        if replies >= every * (len(memory) + 1):
            memory.append((replies, resident(process.pid)))


def resident(pid: int) -> int:
    """Bytes of memory that a process holds now."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * PAGE


def slope(memory: np.ndarray, first: float = 0.0) -> tuple[float, float]:
    """Bytes a reply of a straight line through memory, and its standard error.

    first: replies before which buffers of fixed size still fill. Memory comes in steps, so
    neighbours err together: the error is that of Newey and West (1987), over a tenth of the looks.
    """
    kept = memory[memory[:, 0] > first]
    x = kept[:, 0] - kept[:, 0].mean()
    y = kept[:, 1] - kept[:, 1].mean()
    found = float(x @ y / (x @ x))
    score = x * (y - found * x)
    lags = max(len(kept) // 10, 1)
    spread = score @ score
    for lag in range(1, lags + 1):
        spread += 2 * (1 - lag / (lags + 1)) * (score[lag:] @ score[:-lag])
    return found, float(np.sqrt(max(spread, 0.0)) / (x @ x))
