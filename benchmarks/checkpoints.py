"""What a log and checkpoints cost a live run: microseconds a line, milliseconds a checkpoint.

    python benchmarks/checkpoints.py [folder]

The folder should be on the disk in question. 10 000 decisions and their observations, in turn, of a
linear model with 10 arms and 16 features, under each `--fsync`, against the same without a log; the
kinds take turns in blocks of lines, so that a busy moment is shared.

See also: tests/cli/live/test_resume.py for losses.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import shutil
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
from uncertain.cli.commands.run import RunOptions
from uncertain.cli.live.run import build_server
from uncertain.decide.loop.durable.durable import CheckpointInterval, DurableServer
from uncertain.streams.formats.ndjson import encode_line
from uncertain.streams.formats.record import Record, Where
from uncertain.streams.storage.wal import FSYNC

EVENTS, BLOCK, EVERY = 10_000, 500, 2_000
OPTIONS = RunOptions(model="linear:arms=10:features=16")
PLAIN = "no log"


def given() -> list[Record]:
    rng = np.random.default_rng(0)
    found = []
    for i in range(EVENTS):
        where = Where("events", 2 * i + 1)
        found.append(Record(i, where, x=rng.normal(size=16).tolist()))
        found.append(Record(i, where._replace(line=2 * i + 2), y=float(rng.normal())))
    return found


def main(folder: Path) -> None:
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    runs = {PLAIN: build_server(OPTIONS)}
    for fsync in FSYNC:
        place = str(folder / fsync)
        runs[fsync] = DurableServer(
            build_server(OPTIONS), place, {}, CheckpointInterval(lines=EVERY), fsync
        )
    outputs = {name: (folder / f"{name}.ndjson").open("wb", buffering=0) for name in runs}
    taken = {name: [] for name in runs}
    lines = given()
    for start in range(0, len(lines), BLOCK):
        for name, run in runs.items():
            for record in lines[start : start + BLOCK]:
                begin = time.perf_counter_ns()
                outputs[name].write(encode_line(run.answer(record)))
                taken[name].append(time.perf_counter_ns() - begin)
                if name != PLAIN:
                    run.checkpoint_if_due()
    print(f"{len(lines)} lines; microseconds from line to reply")
    for name, spent in taken.items():
        middle, high, most = np.quantile(np.array(spent) / 1e3, (0.5, 0.99, 1))
        print(f"{name:9} p50 {middle:8,.1f}  p99 {high:8,.1f}  max {most:10,.1f}", end="")
        if name != PLAIN:
            cost = np.array(runs[name].cost.seconds) * 1e3
            size = sum(file.stat().st_size for file in (folder / name).rglob("*") if file.is_file())
            print(f"   checkpoint, ms: p50 {np.median(cost):6.1f}  max {cost.max():6.1f}"
                  f"   {size / 1e6:.1f} MB in its folder", end="")  # fmt: skip
            runs[name].close()
        print()


if __name__ == "__main__":
    scratch = Path(tempfile.mkdtemp(dir=sys.argv[1] if len(sys.argv) > 1 else None))
    try:
        main(scratch)
    finally:
        shutil.rmtree(scratch)
