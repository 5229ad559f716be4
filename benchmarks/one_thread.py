"""What a second thread of JAX's is worth to a decision, and what it costs while its core is busy.

    python benchmarks/one_thread.py

Location finding, live runs of 30 events, each way a process of its own, in turn: the other cores
idle or busy with a process that does nothing else. Milliseconds at p50, p99 and p99.9. Not here:
deadlines (deadlines.py).
"""

import subprocess
import sys

import jax
import numpy as np
from deadlines import SPIN, STEPS, cell_of
from uncertain.decide.judge.measures.latency import live_runs
from uncertain.decide.judge.measures.quality import agent_and_world
from uncertain.decide.loop.core.cores import count_cores, use_one_thread

CONFIGURATIONS = (("laplace", 128, 1), ("smc", 32, 5), ("smc", 128, 5), ("smc", 512, 10),
                  ("smc", 4096, 5))  # fmt: skip
EVENTS = 2400
FEWER = 300
"""Where one takes 20 ms."""


def timed(threads: str, busy: str) -> None:
    """Print a line for each configuration."""
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    if threads == "one":
        use_one_thread()
    count = max(count_cores() - 1, 1) if busy == "busy" else 0
    others = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(count)]
    try:
        for posterior, particles, refine in CONFIGURATIONS:
            agent, world = agent_and_world(cell_of(posterior, particles, refine, 1))
            runs = (EVENTS if particles < 1000 else FEWER) // STEPS
            spent = live_runs(agent, world, STEPS, 3, runs).timing
            figures = "  ".join(
                f"{name} " + " ".join(f"{np.quantile(x, q) * 1e3:7.3f}" for q in (0.5, 0.99, 0.999))
                for name, x in (("decide", spent.decide), ("learn", spent.learn))
            )
            print(f"{threads:>4} {busy:>5} {posterior:>8} {particles:5} {refine:3}  {figures}")
    finally:
        for process in others:
            process.kill()
            process.wait()


def main() -> None:
    """Each way, or the one that is named."""
    if len(sys.argv) > 1:
        timed(*sys.argv[1:])
        return
    print("threads, other cores, posterior, S, k, ms at p50, p99, p99.9")
    for busy in ("idle", "busy"):
        for threads in ("all", "one"):
            done = subprocess.run(
                [sys.executable, __file__, threads, busy],
                capture_output=True,
                text=True,
                check=True,
            )
            print(done.stdout, end="", flush=True)


if __name__ == "__main__":
    main()
