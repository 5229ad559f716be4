"""Deadlines that are kept: p99.9 of an answer, less what the operating system takes, and its gain.

    python benchmarks/deadlines.py --out docs/results/deadlines
    python benchmarks/deadlines.py --events 2000 --out /tmp/deadlines

Location finding, every other core busy with a process that does nothing else. First each of some
fixed configurations is timed and judged; `auto` then picks from those figures for each goal, and is
run under the goal with its ladder, one event after the other. Before every event an empty loop as
long as the last decision runs in the same process: what it takes beyond its usual time at p99.9 is
the machine's and is taken off. Where Linux tells how long this thread was ready but had no core
(`/proc/thread-self/schedstat`), each decision is also shown without its own wait. Gains are the
judge's, of the same truths for all. Writes PREFIX.ndjson and PREFIX.md.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import msgspec
import numpy as np
from uncertain.decide.judge.measures.build_record import mean_se
from uncertain.decide.judge.measures.deadline_runs import Driver
from uncertain.decide.judge.measures.experiment import Cell
from uncertain.decide.judge.measures.frontier import Option, choose_option, measure_p99
from uncertain.decide.judge.measures.latency import live_runs
from uncertain.decide.judge.measures.quality import Wanted, agent_and_world, measure_runs, quality
from uncertain.decide.judge.records.read_record import to_dict
from uncertain.decide.loop.core.compiled import build_live, pause_gc
from uncertain.decide.loop.core.cores import count_cores, use_one_thread
from uncertain.decide.loop.core.rollout import Trace
from uncertain.decide.loop.server.deadline import DeadlineControl
from uncertain.decide.rules.registry import build_rule

GOALS = (0.5e-3, 1e-3, 5e-3, 20e-3)
"""Seconds."""
FIXED = (
    ("point", None, 5), ("laplace", 128, 1), ("smc", 8, 1), ("smc", 32, 1), ("smc", 32, 5),
    ("smc", 128, 5), ("smc", 128, 10), ("smc", 512, 5), ("smc", 512, 10),
)  # fmt: skip
"""posterior, S, k"""
STEPS, SEED = 30, 3
HIGH = 0.999
SHARE = 0.1
"""Of the events, how many time a fixed configuration."""
SPIN = """
import os
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""
"""Keeps a core busy for as long as this process is there."""
UNIT = 20
"""Additions between two looks at the clock in the empty loop."""


def cell_of(posterior: str, particles: int | None, refine: int, runs: int) -> Cell:
    return Cell("location", "location", posterior, "eig", None, particles, refine, 32, 0.0, STEPS,
                SEED, runs)  # fmt: skip


def empty(loops: int) -> int:
    """Nanoseconds that so many turns of a loop without any use take."""
    began = time.perf_counter_ns()
    for _ in range(loops * UNIT):
        pass
    return time.perf_counter_ns() - began


class Stalls:
    """What empty loops take beyond their usual time; `usual`: nanoseconds of one turn.

    spent: nanoseconds of each loop.
    """

    def __init__(self) -> None:
        self.usual = float(np.median([empty(100) for _ in range(200)])) / 100
        self.beyond: list[float] = []
        self.spent: list[float] = []

    def look(self, nanoseconds: float) -> None:
        """One loop of about this length."""
        loops = max(int(nanoseconds / self.usual), 1)
        self.spent.append(empty(loops))
        self.beyond.append(max(self.spent[-1] - loops * self.usual, 0.0))

    def high(self) -> float:
        """Seconds at p99.9."""
        return float(np.quantile(self.beyond, HIGH)) / 1e9


class Waits:
    """Nanoseconds in which this thread was ready to run and had no core; none told: zero."""

    def __init__(self) -> None:
        try:
            self._file = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        except OSError:
            self._file = None
        self.taken: list[int] = []
        self._before = 0

    def now(self) -> int:
        return 0 if self._file is None else int(os.pread(self._file, 64, 0).split()[1])

    def begin(self) -> None:
        self._before = self.now()

    def end(self) -> None:
        self.taken.append(self.now() - self._before)


def high(seconds: Any) -> float:
    return float(np.quantile(seconds, HIGH))


def fixed(events: int, judged: int, most: int, wanted: Wanted) -> dict[Option, dict[str, Any]]:
    """What each fixed configuration takes and gains, over the same runs. most: S at most."""
    found = {}
    for posterior, particles, refine in FIXED:
        if (particles or 1) > most:
            continue
        cell = cell_of(posterior, particles, refine, judged)
        agent, world = agent_and_world(cell)
        gains = quality(cell, 0, judged, wanted)["lower"]
        runs = max(int(events * SHARE) // STEPS, 1)
        timing = live_runs(agent, world, STEPS, SEED, runs).timing
        both = timing.decide + timing.learn
        stalls = Stalls()
        with pause_gc():
            for seconds in both:
                stalls.look(seconds * 1e9)
        p99 = float(np.quantile(both, 0.99))
        option = Option(posterior, particles, refine, p99, float(gains.mean()), True, "location",
                        STEPS)  # fmt: skip
        found[option] = {
            "kind": "fixed", "name": option.name, "p50": float(np.median(both)), "p99": p99,
            "p99.9": high(both), "stall": stalls.high(), "gain": to_dict(mean_se(gains)),
        }  # fmt: skip
        print(f"{option.name}: p50 {np.median(both) * 1e3:.3f} ms, p99 {p99 * 1e3:.3f} ms, gain "
              f"{gains.mean():.2f}", file=sys.stderr)  # fmt: skip
    return found


def kept(option: Option, goal: float, events: int, judged: int, wanted: Wanted) -> dict[str, Any]:
    """An option under a deadline, with its ladder: times of each answer, stalls and gains."""
    cell = cell_of(option.posterior, option.particles, option.refine, judged)
    agent, world = agent_and_world(cell)
    live = build_live(agent)
    pace = DeadlineControl(
        agent, live, {live: 0}, goal, lambda n: build_rule("eig", agent.model, 0.0, n)
    )
    traces = pace.traces()
    driver = Driver(agent, world, pace, goal, None)
    stalls, waits = Stalls(), Waits()
    begin, context, answer = driver.calls

    def stalling(*words: Any) -> Any:
        if driver.decided:
            stalls.look(driver.decided[-1])
        seen = np.asarray(context(*words))
        waits.begin()
        return seen

    def answering(*words: Any) -> Any:
        waits.end()
        return answer(*words)

    driver.calls = begin, stalling, answering
    with pause_gc():
        driver.run(SEED, 0, STEPS)
        driver.forget()
        for kept_before in (stalls.beyond, stalls.spent, waits.taken):
            kept_before.clear()
        lived = []
        for run in range(max(events // STEPS, judged)):
            one = driver.run(SEED, run, STEPS)
            if run < judged:
                lived.append(one)
    trace = Trace(*(np.stack(column) for column in zip(*lived, strict=True)))
    gains = measure_runs(agent, world, cell, None, trace, 0, wanted)["lower"]
    decide, learn = (np.asarray(x) / 1e9 for x in (driver.decided, driver.learnt))
    waited = np.asarray(waits.taken) / 1e9
    full = sum(n for (number, _, _), n in driver.rungs.items() if number == 0)
    return {
        "events": len(decide), "decide": {"p50": float(np.median(decide)), "p99.9": high(decide)},
        "unwaited": high(decide - waited),
        "learn": {"p50": float(np.median(learn)), "p99.9": high(learn)}, "stall": stalls.high(),
        "missed": float(np.mean(decide > goal)),
        "empty_missed": float(np.mean(np.asarray(stalls.spent) / 1e9 > goal)),
        "full": full / len(decide),
        "fallback": driver.fallbacks / len(decide), "retraces": pace.traces() - traces,
        "gain": to_dict(mean_se(gains)),
    }  # fmt: skip


def picked(goal: float, known: dict[Option, dict[str, Any]]) -> Option:
    """What `auto` takes for a goal."""

    def timed(option: Option) -> float:
        cell = cell_of(option.posterior, option.particles, option.refine, 1)
        return measure_p99(agent_and_world(cell)[0])

    return choose_option(list(known), goal, timed).option


def beside(row: dict[str, Any], fixed: list[dict[str, Any]]) -> dict[str, Any]:
    """A goal's row with the best fixed configuration whose decisions and lessons took no longer at
    p99, and the ratio of gains; its error takes them as independent, which errs to the safe side.
    """
    # No less than usual: a stall may have hit empty loops alone.
    beyond = max(row["decide"]["p99.9"] - row["stall"], row["decide"]["p50"])
    meets = [facts for facts in fixed if facts["p99"] <= row["goal"]]
    best = max(meets, key=lambda facts: facts["gain"]["mean"]) if meets else None
    share = None
    if best is not None:
        ours, its = row["gain"], best["gain"]
        mean = ours["mean"] / its["mean"]
        share = {
            "mean": mean,
            "se": abs(mean) * float(np.hypot(ours["se"] / ours["mean"], its["se"] / its["mean"])),
        }
    return row | {
        "beyond_stalls": beyond, "inside": beyond <= row["goal"], "best": best, "of_best": share,
    }  # fmt: skip


COLUMNS = (
    "goal ms", "by", "posterior", "decide p50", "p99.9", "stalls p99.9", "p99.9 less stalls",
    "p99.9 less own waits", "inside", "late", "empty loops late", "in full",
    "gain", "best fixed", "its gain", "of best",
)  # fmt: skip


def table(rows: list[dict[str, Any]], fixed: list[dict[str, Any]]) -> str:
    """The goals as Markdown; milliseconds and nats."""

    def shown(value: dict[str, float]) -> str:
        return f"{value['mean']:.2f} ± {value['se']:.2f}"

    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    for row in (beside(one, fixed) for one in rows):
        best, share = row["best"], row["of_best"]
        cells = [
            f"{row['goal'] * 1e3:g}", row["how"], row["option"],
            *(f"{x * 1e3:.3f}" for x in (row["decide"]["p50"], row["decide"]["p99.9"],
                                         row["stall"], row["beyond_stalls"], row["unwaited"])),
            "yes" if row["inside"] else "no", f"{row['missed']:.3%}", f"{row['empty_missed']:.3%}",
            f"{row['full']:.1%}", shown(row["gain"]),
            best["name"] if best else "none", shown(best["gain"]) if best else "–",
            f"{share['mean']:.3f} ± {share['se']:.3f}" if share else "–",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """All goals, with the other cores busy from beginning to end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--goals", default=",".join(f"{g * 1e3:g}" for g in GOALS), help="in ms")
    parser.add_argument("--events", type=int, default=100_000, help="for each goal")
    parser.add_argument("--judged", type=int, default=64, help="runs of 30 events with a gain")
    parser.add_argument("--samples", type=int, default=2000, help="draws behind the gain")
    parser.add_argument("--reference", type=int, default=2048, help="the judge's own particles")
    parser.add_argument("--most", type=int, default=512, help="draws of a configuration")
    parser.add_argument(
        "--dearest", action="store_true", help="also the dearest under each goal: the ladder alone"
    )
    parser.add_argument(
        "--table", action="store_true", help="only the table, from PREFIX.ndjson as it is"
    )
    parser.add_argument("--out", required=True, metavar="PREFIX")
    options = parser.parse_args()
    if options.table:
        print(written(options.out))
        return
    goals = [float(text) / 1e3 for text in options.goals.split(",")]
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    use_one_thread()  # as `uncertain run --deadline` does
    wanted = Wanted(samples=options.samples, reference=options.reference)
    busy = [
        subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(max(count_cores() - 1, 1))
    ]
    try:
        known = fixed(options.events, options.judged, options.most, wanted)
        rows = []
        ways = {"auto": lambda goal: picked(goal, known)}
        if options.dearest:
            ways["dearest"] = lambda goal: max(known, key=lambda option: option.p99)
        for goal in goals:
            for how, choose_for in ways.items():
                option = choose_for(goal)
                row = kept(option, goal, options.events, options.judged, wanted)
                rows.append(
                    {"kind": "goal", "goal": goal, "option": option.name, "how": how, **row}
                )
                print(table(rows[-1:], list(known.values())), file=sys.stderr)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    command = f"python benchmarks/deadlines.py --goals {options.goals} --events {options.events}"
    command += f" --judged {options.judged} --samples {options.samples}"
    command += f" --reference {options.reference} --most {options.most}"
    command += " --dearest" * options.dearest + f" --out {options.out}"
    about = {
        "kind": "about", "command": command, "seed": SEED, "steps": STEPS, "cores": count_cores(),
        "busy": len(busy),
        "versions": {name: version(name) for name in ("uncertain", "jax", "numpy")},
    }  # fmt: skip
    Path(f"{options.out}.ndjson").write_bytes(
        b"".join(msgspec.json.encode(one) + b"\n" for one in (about, *known.values(), *rows))
    )
    print(written(options.out))


def written(prefix: str) -> str:
    """The table of PREFIX.ndjson, which is then also in PREFIX.md."""
    about, *found = map(msgspec.json.decode, Path(f"{prefix}.ndjson").read_bytes().splitlines())
    goals, fixed = ([one for one in found if one["kind"] == kind] for kind in ("goal", "fixed"))
    shown = table(goals, fixed)
    note = f"`{about['command']}`, seed {about['seed']}, {about['busy']} of {about['cores']} cores"
    Path(f"{prefix}.md").write_text(f"{note} busy with another process.\n\n{shown}")
    return shown


if __name__ == "__main__":
    main()
