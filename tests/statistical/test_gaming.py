"""Backends written to cheat are found out, each by the column that is meant to find it.

All run in one bench beside an honest one, through the command line as anybody's own file would.
Differences are judged at LIMIT standard errors: a false alarm in 1e-5 of runs, all comparisons
together.

See also: tests/cheats.py for the cheats, test_calibration.py for cheats that only ranks find,
test_gaming_executions.py for those that are judged by one thing and timed by another.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from console import call
from support import SHIFT, Z
from uncertain.decide.judge.records.mark_frontier import mark_frontier
from uncertain.decide.judge.records.read_record import record_of
from uncertain.decide.loop.core.agent import build_agent
from uncertain.decide.loop.core.rollout import build_rollout, seed_key
from uncertain.posteriors.base import Info, Posterior
from uncertain.posteriors.parts.draws import uniform_draws
from uncertain.posteriors.registry import build_model
from uncertain.streams.worlds.base import World, simulated_world

LIMIT = Z + 0.5
"""Some twenty comparisons at a total false-alarm rate of 1e-5 (Bonferroni)."""
CHEATS = Path(__file__).parents[1] / "cheats.py"
WORLD = "linear:arms=0:features=2"
pytestmark = pytest.mark.rate(1e-5)

EXPERIMENT = f"""
world = "{WORLD}"
steps = 5
seeds = 192
candidates = 16
live = 0
workers = 1
seed = {SHIFT}
"""
BELIEFS = ("honest", "returns_prior", "constant", "overconfident", "from_its_key",
           f"keyhole:seed={SHIFT}", "keyhole:seed=12345")  # fmt: skip
CHOICES = ("", 'rule = "CHEATS:first"', 'proposer = "CHEATS:collapsed"')
Rows = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Records by the name of what cheats, "honest" where nothing does. Beliefs are also judged by
    joint prediction, choices by fidelity."""
    file = tmp_path_factory.mktemp("gaming") / "experiment.toml"
    beliefs = [f'[[cells]]\nposterior = "CHEATS:{name}"\n' for name in BELIEFS]
    choices = [f'[[cells]]\nposterior = "CHEATS:honest"\n{how}\n' for how in CHOICES]
    found: Rows = {}
    for extra, cells in (("joint = 10\n", beliefs), ("fidelity = true\n", choices)):
        file.write_text(EXPERIMENT + extra + "".join(cells).replace("CHEATS", str(CHEATS)))
        result = call("bench", "--config", file, "--no-plot")
        assert result.status == 0, result.err
        for row in result.rows:
            parts = (row["config"]["proposer"], row["rule"], row["posterior"])
            cheat = next(part for part in parts if part and str(CHEATS) in part)
            name = cheat.partition("cheats.py:")[2]
            # The honest one is in both: what one bench did not measure the other did.
            found[name] = found.get(name, {}) | {k: v for k, v in row.items() if v is not None}
    return found


def apart(one: dict[str, float], two: dict[str, float], name: str = "mean") -> float:
    """How far two means are apart, in standard errors of their difference."""
    error = np.hypot(one["se"], two["se"])
    return float((one[name] - two[name]) / max(error, 1e-12))


def test_the_honest_one_is_fine(rows: Rows) -> None:
    honest = rows["honest"]
    assert honest["gain"]["above_random"]["mean"] > LIMIT * honest["gain"]["above_random"]["se"]
    assert abs(honest["calibration"]["bias"]) < LIMIT * honest["calibration"]["se"]
    assert (
        abs(honest["calibration"]["probe"]["bias"]) < LIMIT * honest["calibration"]["probe"]["se"]
    )
    assert honest["fidelity"]["mean"] == pytest.approx(1, abs=1e-3)
    assert honest["failures"] == 0


@pytest.mark.parametrize("cheat", ["collapsed", "first"])
def test_gain_above_random_finds(rows: Rows, cheat: str) -> None:
    """What does not look for information gets no more than chance does."""
    honest, other = rows["honest"]["gain"], rows[cheat]["gain"]
    assert apart(honest["above_random"], other["above_random"]) > LIMIT
    assert abs(other["above_random"]["mean"]) < LIMIT * other["above_random"]["se"]


def test_fidelity_finds_whoever_takes_the_first(rows: Rows) -> None:
    assert apart(rows["honest"]["fidelity"], rows["first"]["fidelity"]) > LIMIT
    assert rows["first"]["fidelity"]["mean"] < 0.7


def test_fidelity_is_not_taken_on_candidates_of_ones_own(rows: Rows) -> None:
    """On its own candidates, all alike, a collapsed proposer would choose the best every time; the
    shared ones are the same for all, so it has what its belief deserves and nothing more."""
    honest, other = rows["honest"]["fidelity"], rows["collapsed"]["fidelity"]
    assert honest == other


@pytest.mark.parametrize("cheat", ["returns_prior", "constant", "overconfident", "from_its_key"])
def test_joint_prediction_finds(rows: Rows, cheat: str) -> None:
    assert apart(rows[cheat]["joint"], rows["honest"]["joint"], "kl") > LIMIT


def test_calibration_finds_who_is_ten_times_too_sure(rows: Rows) -> None:
    """It promises next to nothing, being sure already, and gets what anybody gets."""
    found = rows["overconfident"]["calibration"]
    assert found["bias"] > LIMIT * found["se"]
    assert found["slope"] > 3
    assert found["probe"]["bias"] > LIMIT * found["probe"]["se"]


def test_calibration_finds_who_never_learns(rows: Rows) -> None:
    """It promises at every step what only the first can bring."""
    found = rows["returns_prior"]["calibration"]
    assert found["bias"] < -LIMIT * found["se"]


def test_calibration_finds_who_knows_the_truth_beforehand(rows: Rows) -> None:
    """Whoever knows has nothing left to learn, and says so; the judge knows what the data tell."""
    found = rows[f"keyhole:seed={SHIFT}"]["calibration"]
    assert found["bias"] > LIMIT * found["se"]
    # It predicts better than Bayes' rule can, which nothing honest does.
    assert apart(rows["honest"]["joint"], rows[f"keyhole:seed={SHIFT}"]["joint"], "kl") > LIMIT


def test_another_seed_takes_what_it_knew(rows: Rows) -> None:
    """With a table of another seed it is the honest backend that it is made of."""
    blind, honest = rows["keyhole:seed=12345"], rows["honest"]
    for part in ("gain", "calibration", "joint"):
        assert blind[part] == honest[part]


def test_work_hidden_in_learn_counts() -> None:
    """The frontier's time is decide and learn together. Medians, which a busy machine leaves alone:
    hidden work is some milliseconds, honest calls are tenths of one."""
    result = call(
        "bench", WORLD, "--posterior", f"{CHEATS}:honest,{CHEATS}:hides_work", "--steps", "6",
        "--seeds", "2", "--live", "3", "--workers", "1", "--candidates", "16", "--no-plot",
    )  # fmt: skip
    assert result.status == 0, result.err
    honest, hides = result.rows
    # Of one run, whose decisions and updates take turns: what slows one slows the other.
    assert hides["learn"]["p50"] > 10 * hides["decide"]["p50"]
    assert honest["learn"]["p50"] < 10 * honest["decide"]["p50"]
    assert hides["learn"]["p50"] > 10 * honest["learn"]["p50"]
    assert hides["total"]["p50"] > 5 * honest["total"]["p50"]
    gains = [row["gain"]["above_random"]["mean"] for row in (honest, hides)]
    assert gains[0] == pytest.approx(gains[1], abs=1e-4)
    # At the same gain only the quicker is on the frontier, by the total; told by decisions of one
    # length, which is what the cheat hopes for, both would be.
    for row in (honest, hides):
        row["gain"]["above_random"]["mean"] = gains[0]
        row["total"]["p99"] = row["total"]["p50"]  # a busy machine's stalls are nobody's fault
    both = [record_of(row) for row in (honest, hides)]
    mark_frontier(both)
    assert [row.frontier for row in both] == [True, False]
    for row in both:
        row.total = both[0].decide
    mark_frontier(both)
    assert [row.frontier for row in both] == [True, True]


# Keys: nothing that a backend, rule or proposer is given leads to what the world draws.


def recorded(shared: bool = False) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """Keys given to the agent and to the world in one run, as pairs of numbers.

    shared: a loop that is wrong, in which the world's keys come from the agent's.
    """
    model = build_model(WORLD)
    agents: list[Any] = []
    worlds: list[Any] = []

    def noting(place: list[Any], function: Any) -> Any:
        def noted(key: Any, *rest: Any) -> Any:
            place.append(np.asarray(jax.random.key_data(key)))
            return function(key, *rest)

        return noted

    # Which keys the loop hands out does not depend on what is done with them: nothing much is.
    agent, _ = build_agent(model, "laplace", "random", refine=1, candidates=3)
    assert agent.proposer is not None
    still = Posterior(
        lambda key: jnp.zeros(2),
        lambda key, state, events: state,
        lambda key, state: (state, Info(jnp.zeros(()), jnp.ones((), bool), {})),
        lambda key, state, now: uniform_draws(jnp.zeros((2, 2))),
    )
    agent = agent._replace(
        posterior=Posterior(*(noting(agents, part) for part in still)),
        rule=noting(agents, agent.rule),
        proposer=noting(agents, agent.proposer),
    )
    world = simulated_world(model)

    def init(key: Any) -> Any:
        if shared:
            key = jax.random.fold_in(jax.random.wrap_key_data(agents[0]), 1)
            worlds.append(np.asarray(jax.random.key_data(key)))
        return world.init(key)

    watched = World(
        noting(worlds, init), noting(worlds, world.context), noting(worlds, world.answer),
        world.truth, world.model,
    )  # fmt: skip
    with jax.disable_jit():
        build_rollout(agent, watched, 2, 0, False)(seed_key(SHIFT, 0))
    return {tuple(k.tolist()) for k in agents}, {tuple(k.tolist()) for k in worlds}


@jax.jit
def descendants(keys: Any) -> Any:
    """Keys that the usual operations make of `keys [N]`: folded with small numbers, and split."""

    def of(key: Any) -> Any:
        folded = jax.vmap(lambda n: jax.random.fold_in(key, n))(jnp.arange(32))
        return jnp.concatenate([folded, *(jax.random.split(key, n) for n in (2, 3, 4, 5))])

    return jax.vmap(of)(keys).reshape(-1)


def reachable(keys: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """The keys themselves, and their descendants of two generations."""
    now = jax.random.wrap_key_data(np.asarray(sorted(keys), np.uint32))
    found = set(keys)
    for _ in range(2):
        now = descendants(now)
        found |= {tuple(k) for k in np.asarray(jax.random.key_data(now)).tolist()}
    return found


def test_no_key_of_the_agent_leads_to_the_worlds() -> None:
    agents, worlds = recorded()
    assert len(agents) > 8
    assert len(worlds) == 5
    assert not reachable(agents) & worlds
    # Negative control: a world whose key is made of one that the agent holds.
    agents, worlds = recorded(shared=True)
    assert reachable(agents) & worlds
