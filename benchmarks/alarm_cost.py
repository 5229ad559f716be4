"""What the alarm costs a live run: microseconds an event, p50, with and without.

    python benchmarks/alarm_cost.py

Deciding, scoring and learning one event after the other, as `run` does. Scoring comes in two kinds,
with the place and the bets and without; they take turns in blocks of events within one run, so that
a busy moment is shared. `turn` is all three together.

See also: alarm.py for how good the alarm is.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time

import jax
import numpy as np
from uncertain.decide.loop.core.agent import build_agent
from uncertain.decide.loop.core.compiled import build_live, pause_gc, timed_decide, timed_learn
from uncertain.decide.loop.core.host_arrays import host_event
from uncertain.decide.loop.core.scoring import build_score, initial_packed_e_process
from uncertain.decide.loop.core.step import blank_request
from uncertain.posteriors.registry import build_model

EVENTS, BLOCK = 4_000, 50
CASES = (
    ("linear:arms=10:features=16", "laplace", None, "thompson"),
    ("logistic:arms=3:features=4", "laplace", None, "thompson"),
    ("logistic:arms=3:features=4", "smc", 128, "thompson"),
    ("logistic:arms=3:features=4", "hmc", 32, "thompson"),
)


def main() -> None:
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    print(f"{EVENTS} events; p50, microseconds (of the two kinds of blocks in turn)")
    for name, posterior, particles, rule in CASES:
        model = build_model(name)
        agent, _ = build_agent(model, posterior, rule, particles, capacity=256)
        live, plain, watched = (
            build_live(agent),
            build_score(agent, False),
            build_score(agent),
        )
        packed, bets = live.init(jax.random.key(0)), initial_packed_e_process()
        rng = np.random.default_rng(0)
        request = jax.tree.map(np.asarray, blank_request(agent))
        spent = {kind: {"score": [], "turn": []} for kind in (False, True)}
        learnt, decided = [], []
        with pause_gc():
            for index in range(EVENTS):
                kind = bool(index // BLOCK % 2)
                seen = rng.normal(size=model.actions.context)
                flat = live.write_request(request._replace(now=float(index), context=seen))
                out, decide = timed_decide(live, packed, flat)
                action = live.read_decision(out).action
                y = np.asarray(float(rng.integers(0, 2)))
                event = live.write_event(host_event(action, y, float(index), index))
                begin = time.perf_counter_ns()
                if kind:
                    found, bets = watched(packed, event, bets)
                    np.asarray(found)
                else:
                    np.asarray(plain(packed, event, ())[0])
                score = time.perf_counter_ns() - begin
                packed, _, learn = timed_learn(live, packed, event)
                if index >= 4 * BLOCK:
                    spent[kind]["score"].append(score)
                    spent[kind]["turn"].append(decide + score + learn)
                    learnt.append(learn)
                    decided.append(decide)
        p50 = {k: {n: np.median(v) / 1e3 for n, v in kinds.items()} for k, kinds in spent.items()}
        print(
            f"{name} {posterior}{f' S={particles}' if particles else ''}: "
            f"decide {np.median(decided) / 1e3:.1f}, learn {np.median(learnt) / 1e3:.1f}; score "
            f"{p50[False]['score']:.1f} -> {p50[True]['score']:.1f}; turn "
            f"{p50[False]['turn']:.1f} -> {p50[True]['turn']:.1f} "
            f"(+{100 * (p50[True]['turn'] / p50[False]['turn'] - 1):.1f} %)"
        )


if __name__ == "__main__":
    main()
