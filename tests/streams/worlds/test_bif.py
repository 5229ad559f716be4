"""Networks from BIF files: read, refused, and as truths of a bench."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.models.graphs.causal_net import CausalNet
from uncertain.streams.worlds.bif_reader import read_bif
from uncertain.streams.worlds.registry import agent_model_spec, build_world

RAIN = """network unknown { }
variable Rain { type discrete [ 2 ] { no, yes }; property weather; }
variable Grass {
  type discrete [ 3 ] { dry, damp, wet };
}
variable Slippery { type discrete [ 2 ] { no, yes }; }
// the cause first
probability ( Rain ) { table 0.8, 0.2; }
probability ( Grass | Rain ) {
  (no) 0.7, 0.2, 0.1;
  (yes) 0.0, 0.1, 0.9;
}
probability ( Slippery | Grass, Rain ) {
  (dry, no) 1, 0; (damp, no) 0.8, 0.2; (wet, no) 0.4, 0.6;
  default 0.1, 0.9;
}
"""
DATA = os.environ.get("UNCERTAIN_DATA")


@pytest.fixture
def rain(tmp_path: Path) -> Path:
    path = tmp_path / "rain.bif"
    path.write_text(RAIN)
    return path


def test_a_network_is_read(rain: Path) -> None:
    net = read_bif(str(rain))
    assert net.names == ("Rain", "Grass", "Slippery")
    assert net.levels[1] == ("dry", "damp", "wet")
    assert net.parents == ((), (0,), (1, 0))
    np.testing.assert_allclose(net.tables[1], [[0.7, 0.2, 0.1], [0.0, 0.1, 0.9]])
    np.testing.assert_allclose(net.tables[2][2], [[0.4, 0.6], [0.1, 0.9]])


def test_a_table_in_one_piece_has_the_nodes_own_levels_slowest(tmp_path: Path) -> None:
    path = tmp_path / "one.bif"
    start = RAIN.index("  (no)")
    end = RAIN.index("}\nprobability ( Slippery")
    path.write_text(RAIN[:start] + "  table 0.7, 0.0, 0.2, 0.1, 0.1, 0.9;\n" + RAIN[end:])
    np.testing.assert_allclose(read_bif(str(path)).tables[1], [[0.7, 0.2, 0.1], [0.0, 0.1, 0.9]])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("0.8, 0.2; }\nprob", "0.8, 0.3; }\nprob", ":8: probabilities of Rain add up to 1.1"),
        ("( Grass | Rain )", "( Grass | Rian )", ':9: no variable .* Rian; did you mean "Rain"'),
        ("(yes) 0.0, 0.1, 0.9;", "", ":12: probabilities of Grass given yes are missing"),
        ("(yes) 0.0", "(maybe) 0.0", ":11: Rain has no level maybe"),
        ("(yes) 0.0, 0.1, 0.9", "(yes) 0.0, 1", ":11: .*2 numbers where 3 belong"),
        ("(yes) 0.0, 0.1", "(yes) few, 0.1", "are no numbers"),
        ("[ 3 ]", "[ 4 ]", "says 4 levels and names 3"),
        ("( Rain ) {", "( Rain | Slippery ) { default 1, 0;", "are missing|on a cycle|numbers"),
        ("probability ( Rain ) { table 0.8, 0.2; }", "", "Rain has no probabilities"),
        ("variable Rain", "vairable Rain", "'vairable' is no part of a BIF file"),
        ("default 0.1, 0.9;\n}", "default 0.1, 0.9;", "found 'the end'"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_by_line(rain: Path, old: str, new: str, words: str) -> None:
    assert old in RAIN
    rain.write_text(RAIN.replace(old, new))
    with pytest.raises(UsageError, match=words) as refused:
        read_bif(str(rain))
    assert str(rain) in str(refused.value)


def test_a_cycle_is_refused(rain: Path) -> None:
    rain.write_text(
        RAIN.replace("( Rain ) { table 0.8, 0.2; }", "( Rain | Grass ) { default 0.8, 0.2; }")
    )
    with pytest.raises(UsageError, match=r"Rain, Grass, Slippery are on a cycle"):
        read_bif(str(rain))


def misfit(counts: np.ndarray, chances: np.ndarray) -> float:
    expected = chances * counts.sum()
    inside = expected > 0
    assert not counts[~inside].any()
    return float(
        chi2.sf(((counts - expected) ** 2)[inside].dot(1 / expected[inside]), inside.sum() - 1)
    )


def joint(rain: Path, held: int | None = None) -> np.ndarray:
    """Probability of each state; with Grass held at a level."""
    net = read_bif(str(rain))
    grass = net.tables[1]
    if held is not None:
        grass = np.tile(np.eye(3)[held], (2, 1))
    return np.einsum("r,rg,grs->rgs", net.tables[0], grass, net.tables[2]).ravel()


@pytest.mark.parametrize(("action", "held"), [(0, None), (4, 1)])
def test_answers_have_the_networks_chances(rain: Path, action: int, held: int | None) -> None:
    """False alarm 10^-5; action 4 fixes Grass at damp."""
    world = build_world(f"bif:{rain}")
    state = world.init(jax.random.key(0))
    act = jnp.full(1, float(action))
    keys = jax.random.split(jax.random.key(1), 20_000)
    found = jax.jit(jax.vmap(lambda k: world.answer(k, state, act, jnp.zeros(()))[1]))(keys)
    counts = np.bincount(np.asarray(found, int), minlength=12)
    assert misfit(counts, joint(rain, held)) > 1e-5
    if held is not None:
        # Negative control: what watching would show.
        with pytest.raises(AssertionError):
            assert misfit(counts, joint(rain)) > 1e-5


def test_the_agents_model_has_the_files_nodes(rain: Path) -> None:
    world = f"bif:{rain}"
    assert agent_model_spec(world) == "causal-net:levels=(2, 3, 2):nodes=3"
    assert agent_model_spec(world, "causal-net:score=half") == (
        "causal-net:levels=(2, 3, 2):nodes=3:score=half"
    )
    made = build_world(world)
    assert isinstance(made.model, CausalNet)
    assert made.truth is not None
    truth = made.truth(made.init(jax.random.key(0)))
    assert list(np.asarray(truth)) == [0, 1, 3]


@pytest.mark.skipif(DATA is None, reason="needs UNCERTAIN_DATA, a folder of data sets")
@pytest.mark.parametrize(
    ("name", "nodes", "arrows"), [("cancer", 5, 4), ("asia", 8, 8), ("survey", 6, 6)]
)
def test_networks_in_circulation_are_read(name: str, nodes: int, arrows: int) -> None:
    """Korb and Nicholson (2010); Lauritzen and Spiegelhalter (1988); Scutari and Denis (2014)."""
    net = read_bif(f"{DATA}/bif_networks/{name}.bif")
    assert len(net.names) == nodes
    assert sum(map(len, net.parents)) == arrows
