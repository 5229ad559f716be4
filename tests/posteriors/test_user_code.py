"""A user's own model and posterior files: loaded, held to the contract, and blamed by line."""

from collections.abc import Callable
from pathlib import Path

import contract_checks as checks
import pytest
from contract_checks import bind
from uncertain.posteriors.contract import check_model, check_posterior
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.registry import build_model, build_posterior
from uncertain.posteriors.specs import parse_spec

MODEL = '''
from dataclasses import dataclass

import jax.numpy as jnp
from uncertain.posteriors import Model, Vector, dist


@dataclass(frozen=True)
class Decay(Model):
    """A signal that dies away at an unknown rate."""

    noise: float = 0.1
    actions = Vector(1, 0.0, 5.0)

    def prior(self):
        return {"rate": dist.LogNormal(0.0, 0.5)}

    def predict(self, params, stats, action):
        return dist.Normal(jnp.exp(-params["rate"] * action[0]), self.noise)


def build(noise: float = 0.2):
    return Decay(noise)


ready = Decay(0.3)
number = 7
'''

POSTERIOR = '''
from typing import NamedTuple

import jax
import jax.numpy as jnp
from uncertain.posteriors import Draws, Info, Posterior
from uncertain.posteriors.parts.unknowns import log_likelihood, unknowns_of


class State(NamedTuple):
    values: jax.Array
    log_weights: jax.Array


def build(model, particles: int = 8):
    """Importance weights on prior draws."""

    def init(key):
        values = unknowns_of(model).sample(key, particles)
        return State(values, jnp.full(particles, -jnp.log(float(particles)), jnp.float32))

    def absorb(key, state, events):
        def one(event):
            logs = jax.vmap(
                lambda u: log_likelihood(model, u, (), event.action, event.observation)
            )(state.values)
            return jnp.where(event.weight > 0, event.weight * logs, 0.0)

        logs = state.log_weights + jax.vmap(one)(events).sum(0)
        return state._replace(log_weights=logs - jax.nn.logsumexp(logs))

    def refine(key, state):
        healthy = jnp.all(~jnp.isnan(state.log_weights))
        return state, Info(jnp.zeros(()), healthy, {})

    def belief(key, state, now):
        return Draws(state.values, state.log_weights)

    return Posterior(init, absorb, refine, belief)
'''

Write = Callable[[str, str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file and give its path."""

    def make(name: str, text: str) -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return make


def line_of(text: str, part: str) -> int:
    """The line on which `part` stands."""
    return text[: text.index(part)].count("\n") + 1


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("mine")
    (folder / "model.py").write_text(MODEL)
    (folder / "posterior.py").write_text(POSTERIOR)
    return str(folder / "model.py"), str(folder / "posterior.py")


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("backend", ["own", "smc:particles=8:capacity=20", "laplace:capacity=20"])
def test_own_model_keeps_every_rule(files: tuple[str, str], backend: str, check) -> None:
    model = build_model(f"{files[0]}:Decay")
    text = f"{files[1]}:build" if backend == "own" else backend
    check(bind(build_posterior(text, model), model))


def test_ways_to_name_a_model(files: tuple[str, str]) -> None:
    path = files[0]
    assert build_model(f"{path}:Decay:noise=0.4").noise == 0.4
    assert build_model(f"{path}:build").noise == 0.2
    assert build_model(f"{path}:build:noise=0.5").noise == 0.5
    assert build_model(f"{path}:ready").noise == 0.3


def test_same_file_same_callables(files: tuple[str, str]) -> None:
    model = build_model(f"{files[0]}:Decay")
    one, two = (build_posterior(f"{files[1]}:build:particles=8", model) for _ in range(2))
    assert one is two


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Decai", 'did you mean "Decay"?'),
        ("number", "is int, not a model"),
        ("ready:noise=1", "takes no options"),
        ("build:nose=1", 'did you mean "noise"?'),
        ("Decay:nose=1", 'did you mean "noise"?'),
        ("Decay:noise=loud", "should be float"),
    ],
)
def test_wrong_names_and_options(files: tuple[str, str], name: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        build_model(f"{files[0]}:{name}")
    assert says in str(refused.value)
    assert files[0] in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_unknown_files_and_names() -> None:
    with pytest.raises(UsageError, match="no such file"):
        build_model("nowhere.py:build")
    with pytest.raises(UsageError, match=r"nowhere\.py:build"):
        build_model("nowhere.py")
    with pytest.raises(UsageError, match='did you mean "location"'):
        build_model("locatoin")
    with pytest.raises(UsageError, match='did you mean "laplace"'):
        build_posterior("laplase", build_model("location"))
    with pytest.raises(UsageError, match='has no option "step_sise"; did you mean "step_size"'):
        build_posterior("smc:step_sise=1", build_model("location"))


BROKEN_MODELS = {
    "syntax": ("        return {", "        return {{", "SyntaxError", "return {{"),
    "import": ("import jax.numpy", "import jaxx.numpy", "ModuleNotFoundError", "import jaxx"),
    "prior raises": ("dist.LogNormal(0.0, 0.5)", "1 / 0", "ZeroDivisionError", "1 / 0"),
    "prior of no support": ("dist.LogNormal(0.0, 0.5)", "3.0", "prior() failed", None),
    "predict raises": ('params["rate"]', 'params["rat"]', "KeyError: 'rat'", 'params["rat"]'),
    "predict is a batch": ("* action[0])", "* action)", ".to_event(1)", None),
    "predict is no distribution": (", self.noise)", ", self.noise).mean", "predict() failed", None),
    "no predict": ("def predict", "def predicted", "does not define predict()", None),
    "actions missing": ("actions = Vector", "act = Vector", "`actions` must be", None),
    "no model": ("(Model)", "", "must subclass", None),
    "not hashable": ("(frozen=True)", "", "not hashable", None),
}


@pytest.mark.parametrize("name", BROKEN_MODELS)
def test_broken_model_is_one_line_with_its_own_line(write: Write, name: str) -> None:
    old, new, says, blamed = BROKEN_MODELS[name]
    text = MODEL.replace(old, new)
    assert text != MODEL
    path = write("model.py", text.replace("ready = Decay(0.3)\n", ""))
    with pytest.raises(UsageError) as refused:
        build_model(f"{path}:Decay")
    message = str(refused.value)
    assert says in message
    assert path in message
    assert len(message.splitlines()) == 1
    if blamed:
        assert f":{line_of(text, blamed)}" in message


def test_stats_that_change_are_refused(write: Write) -> None:
    text = (
        MODEL
        + """

class Counting(Decay):
    def init_stats(self):
        return jnp.zeros(2)

    def update_stats(self, stats, event):
        return stats[:1]
"""
    )
    path = write("model.py", text)
    with pytest.raises(UsageError, match=r"update_stats\(\) changes shapes"):
        build_model(f"{path}:Counting")


BROKEN_POSTERIORS = {
    "raises when traced": (
        "state.log_weights + jax",
        "state.log_weight + jax",
        "absorb() failed",
        True,
    ),
    "python branch on a value": (
        "        healthy = jnp.all(~jnp.isnan(state.log_weights))",
        "        healthy = jnp.asarray(True) if state.log_weights[0] > 0 else jnp.asarray(False)",
        "refine() failed: TracerBoolConversionError",
        True,
    ),
    "raises when built": ("    return Posterior(", "    return Posterio(", "NameError", True),
    "no posterior": ("    return Posterior(", "    return tuple, (", "must return", False),
    "dtype changes": (
        "return state._replace(log_weights=logs",
        "return state._replace(values=state.values.astype(int), log_weights=logs",
        "absorb() turns a leaf",
        False,
    ),
    "belief of another shape": (
        "Draws(state.values,",
        "Draws(state.values.T,",
        "expected [S, 1]",
        False,
    ),
}


@pytest.mark.parametrize("name", BROKEN_POSTERIORS)
def test_broken_posterior_is_one_line_with_its_own_line(
    write: Write, files: tuple[str, str], name: str
) -> None:
    old, new, says, own_line = BROKEN_POSTERIORS[name]
    text = POSTERIOR.replace(old, new)
    assert text != POSTERIOR
    path = write("posterior.py", text)
    with pytest.raises(UsageError) as refused:
        build_posterior(f"{path}:build", build_model(f"{files[0]}:Decay"))
    message = str(refused.value)
    assert says in message
    assert path in message
    assert len(message.splitlines()) == 1
    if own_line:
        assert f":{line_of(text, new)}" in message


def test_unknown_option_of_own_posterior(files: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match='no option "particle"; did you mean "particles"'):
        build_posterior(f"{files[1]}:build:particle=3", build_model("location"))


def test_checks_accept_what_is_right(files: tuple[str, str]) -> None:
    model = build_model(f"{files[0]}:Decay")
    check_model("mine", model)
    check_posterior("mine", build_posterior(f"{files[1]}:build", model), model)


@pytest.mark.parametrize(
    ("text", "target", "settings"),
    [
        ("smc", "smc", {}),
        ("smc:move=walk:ess=0.3", "smc", {"move": "walk", "ess": 0.3}),
        ("a/b.py:build", "a/b.py:build", {}),
        ("a/b.py:build:x=1:y=true", "a/b.py:build", {"x": 1, "y": True}),
        ("m:step-size=1e-3", "m", {"step_size": 1e-3}),
        ("m:xs=[1,2]", "m", {"xs": (1, 2)}),
    ],
)
def test_parse(text: str, target: str, settings: dict) -> None:
    spec = parse_spec(text)
    assert spec.target == target
    assert dict(spec.settings) == settings
    assert parse_spec(str(spec)) == spec
