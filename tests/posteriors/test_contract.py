"""Contract rules over every posterior and model of the registry, and their negative controls.

See also: test_user_code.py for users' own files.
"""

import itertools
from typing import Any, NamedTuple

import contract_checks as checks
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contract_checks import SMALL, Bound, bind
from jax.errors import KeyReuseError
from support import small
from uncertain.posteriors.base import Draws, Info, Posterior
from uncertain.posteriors.contract import check_model, check_posterior
from uncertain.posteriors.errors import UsageError
from uncertain.posteriors.placeholders import example_event
from uncertain.posteriors.registry import MODELS, POSTERIORS, build_model, build_posterior

KINDS = {"causal-net", "causal-pair", "discounting", "drifting", "linear", "mlp"}
"""A model of every kind (a space of graphs, discrete with an order, skewed, moving, linear, with a
network's layers): every rule of the contract is run on these, with -m nightly on all others too."""
GRAPHS = ("causal-net",)
DISCRETE = ("causal-pair", "finite", "noisy-or", "number-game")
FIXED = (
    "bonus",
    "ensemble",
    "epinet",
    "hmc",
    "point",
    "subspace-ekf",
    "svgd",
    "swag",
    "variational",
)
"""Posteriors of continuous unknowns that stand still."""
REFUSED = {(p, m) for p in FIXED for m in (*DISCRETE, "drifting")}
REFUSED |= {(p, m) for p in FIXED for m in GRAPHS if p not in ("ensemble", "point")}
REFUSED |= {("laplace", m) for m in (*DISCRETE, *GRAPHS)}
REFUSED |= {("mcmc", m) for m in MODELS if m not in GRAPHS}
REFUSED |= {("amortised", m) for m in MODELS}
REFUSED |= {(p, m) for p in ("dropout", "last-layer") for m in MODELS if m != "mlp"}
REFUSED |= {
    ("exact", m)
    for m in (
        "binomial", "drifting", "linear", "location", "logistic", "mlp", "poisson", "surface",
        "testbed",
    )
}  # fmt: skip
EVERY = [(p, m) for p in sorted(POSTERIORS) for m in sorted(MODELS)]
BUILT = [
    pytest.param(p, m, marks=() if m in KINDS else pytest.mark.nightly)
    for p, m in EVERY
    if (p, m) not in REFUSED
]


def pair(posterior: str, model: str) -> Bound:
    made = build_model(small(model))
    return bind(build_posterior(SMALL.get(posterior, posterior), made), made)


@pytest.mark.parametrize(("posterior", "model"), BUILT)
class TestEveryPair:
    @pytest.mark.parametrize("check", checks.CHECKS, ids=lambda c: c.__name__)
    def test_rule(self, posterior: str, model: str, check: Any) -> None:
        check(pair(posterior, model))

    def test_same_arguments_same_callables(self, posterior: str, model: str) -> None:
        made = small(model)
        one = build_posterior(posterior, build_model(made))
        two = build_posterior(posterior, build_model(made))
        assert all(a is b for a, b in zip(one, two, strict=True))

    def test_accepted_by_its_own_check(self, posterior: str, model: str) -> None:
        bound = pair(posterior, model)
        check_model(model, bound.model)
        check_posterior(posterior, bound.posterior, bound.model)


@pytest.mark.parametrize(("posterior", "model"), sorted(REFUSED))
def test_refusal_names_both(posterior: str, model: str) -> None:
    made = build_model(small(model))
    with pytest.raises(UsageError) as refused:
        build_posterior(posterior, made)
    assert f"posterior {posterior} " in str(refused.value)
    assert type(made).__name__ in str(refused.value)


@pytest.mark.parametrize(
    ("posterior", "model", "particles"),
    [
        ("smc", "location", 1),
        ("smc", "location", 2),
        ("smc", "location", 3),
        ("smc", "causal-pair", 1),
        ("smc", "drifting", 1),
        ("ensemble", "location", 1),
        ("hmc", "location", 1),
        ("svgd", "location", 1),
        ("svgd", "location", 2),
    ],
)
def test_few_particles_stay_finite(posterior: str, model: str, particles: int) -> None:
    made = build_model(model)
    bound = bind(build_posterior(f"{posterior}:particles={particles}:capacity=20", made), made)
    checks.believes(bound)
    checks.reports(bound)


@pytest.mark.parametrize("move", ["walk", "hmc"])
def test_every_move_keeps_the_contract_with_one_particle(move: str) -> None:
    made = build_model("logistic:arms=0:features=2")
    bound = bind(build_posterior(f"smc:particles=1:capacity=20:move={move}", made), made)
    for check in (checks.keeps_signature, checks.believes, checks.reports, checks.reuses_no_key):
        check(bound)


@pytest.mark.parametrize("text", ["smc:particles=0", "smc:move=jump", "smc:ess=2", "point:full=no"])
def test_options_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=text.partition(":")[2].partition("=")[0]):
        build_posterior(text, build_model("location"))


# A sweep over a scalar leaf of the state is a vmap.

SIZES = (0.02, 0.1, 0.5)


def swept(bound: Bound) -> tuple[Any, list[Any]]:
    """Beliefs of runs that differ in step size: by vmap, and one by one."""

    events = jax.tree.map(lambda x: x[:3, None], bound.events)

    def step(state: Any, item: Any) -> Any:
        (absorb_key, refine_key), event = item
        state = bound.posterior.absorb(absorb_key, state, event)
        return bound.posterior.refine(refine_key, state)[0], None

    def run(state: Any) -> Any:
        keys = jax.random.split(jax.random.key(1), (3, 2))
        state, _ = jax.lax.scan(step, state, (keys, events))
        return bound.posterior.belief(jax.random.key(20), state, jnp.float32(3))

    start = bound.posterior.init(jax.random.key(0))
    one = jax.jit(run)
    apart = [one(start._replace(step_size=jnp.float32(size))) for size in SIZES]
    axes = jax.tree.map(lambda _: None, start)._replace(step_size=0)
    states = start._replace(step_size=jnp.asarray(SIZES, jnp.float32))
    return jax.jit(jax.vmap(run, in_axes=(axes,)))(states), apart


def sweep_is_vmap(bound: Bound) -> None:
    together, apart = swept(bound)
    for i, single in enumerate(apart):
        both = zip(jax.tree.leaves(together), jax.tree.leaves(single), strict=True)
        for many, alone in both:
            # The same arithmetic in another order: a few units in the last place.
            np.testing.assert_allclose(many[i], alone, rtol=1e-4, atol=1e-4)
    spread = np.ptp(np.asarray(together.values), axis=0)
    assert spread.max() > 1e-3, "the step size has no effect: it is not read from the state"


@pytest.mark.parametrize("posterior", ["ensemble", "hmc", "point", "smc", "svgd"])
def test_sweep_of_step_size(posterior: str) -> None:
    sweep_is_vmap(pair(posterior, "logistic"))


# Negative controls: wrong backends, each rejected by the check that is meant for it.


class Toy(NamedTuple):
    """A running mean and count of the observations; step_size is there to be swept."""

    total: jax.Array
    count: jax.Array
    step_size: jax.Array


MODEL = build_model("linear:arms=0:features=2")


def toy(**wrong: Any) -> Posterior:
    """A small backend that keeps every rule, save for the functions given."""

    def init(key: Any) -> Toy:
        return Toy(jnp.zeros(2), jnp.zeros(()), jnp.ones(()))

    def absorb(key: Any, state: Toy, events: Any) -> Toy:
        real = events.weight > 0
        gained = jnp.where(real, events.observation, 0.0).sum()
        return Toy(state.total + gained, state.count + real.sum(), state.step_size)

    def refine(key: Any, state: Toy) -> tuple[Toy, Info]:
        return state, Info(jnp.zeros(()), jnp.isfinite(state.total).all(), {})

    def belief(key: Any, state: Toy, now: Any) -> Draws:
        middle = state.total / (1 + state.count)
        noise = jax.random.normal(key, (4, 2)) * state.step_size
        return Draws(middle[None, :] + noise, jnp.full(4, -jnp.log(4.0)))

    return Posterior(init, absorb, refine, belief)._replace(**wrong)


GOOD = toy()


class Counted:
    """A state whose count is part of the tree's structure, so that every event traces again."""

    def __init__(self, total: Any, seen: int) -> None:
        self.total, self.seen = total, seen


jax.tree_util.register_pytree_node(
    Counted, lambda c: ((c.total,), c.seen), lambda seen, leaves: Counted(leaves[0], seen)
)


def grows(key: Any, state: Any, events: Any) -> Any:
    return state._replace(total=jnp.concatenate([state.total, events.observation]))


def changes_dtype(key: Any, state: Any, events: Any) -> Any:
    return GOOD.absorb(key, state, events)._replace(count=jnp.ones((), jnp.int32))


def counts_masked(key: Any, state: Any, events: Any) -> Any:
    return state._replace(total=state.total + jnp.nan_to_num(events.observation).sum())


def remembers_time_of_masked(key: Any, state: Any, events: Any) -> Any:
    real = GOOD.absorb(key, state, events)
    return real._replace(step_size=jnp.nan_to_num(events.time[0]) + 1)


def selects(key: Any, state: Any, events: Any) -> Any:
    return state._replace(total=state.total + events.observation[events.weight > 0].sum())


def deaf(key: Any, state: Any, events: Any) -> Any:
    return state


def reuses(key: Any, state: Any) -> Any:
    shift = jax.random.normal(key, (2,)) + jax.random.uniform(key, (2,))
    return state._replace(total=state.total + shift), Info(jnp.zeros(()), jnp.ones((), bool), {})


def cheerful(key: Any, state: Any) -> Any:
    return state, Info(jnp.zeros(()), jnp.ones((), bool), {})


def unnormalised(key: Any, state: Any, now: Any) -> Draws:
    return GOOD.belief(key, state, now)._replace(log_weights=jnp.zeros(4))


def stubborn(key: Any, state: Any, now: Any) -> Draws:
    return GOOD.belief(key, state._replace(step_size=jnp.float32(1)), now)


CALLS = itertools.count()


def unrepeatable(key: Any, state: Any, events: Any) -> Any:
    shape = jax.ShapeDtypeStruct((), jnp.float32)
    secret = jax.pure_callback(lambda: np.float32(next(CALLS)), shape)
    return GOOD.absorb(key, state, events)._replace(count=secret)


def strong(key: Any, state: Any, events: Any) -> Any:
    return state._replace(step_size=state.step_size * jnp.ones(()))


WEAK = toy(init=lambda key: GOOD.init(key)._replace(step_size=1.0), absorb=strong)
STATIC = toy(
    init=lambda key: Counted(jnp.zeros(2), 0),
    absorb=lambda key, state, events: Counted(state.total, state.seen + 1),
    refine=lambda key, state: (state, Info(jnp.zeros(()), jnp.ones((), bool), {})),
)

WRONG = {
    "changes dtype": (toy(absorb=changes_dtype), checks.keeps_signature),
    "grows": (toy(absorb=grows), checks.keeps_signature),
    "weak type": (WEAK, checks.keeps_signature),
    "weak type traces again": (WEAK, checks.never_retraces),
    "traces every event": (STATIC, checks.never_retraces),
    "counts masked": (toy(absorb=counts_masked), checks.ignores_masked),
    "time of masked": (toy(absorb=remembers_time_of_masked), checks.ignores_masked),
    "deaf": (toy(absorb=deaf), checks.listens),
    "reuses a key": (toy(refine=reuses), checks.reuses_no_key),
    "cheerful": (toy(refine=cheerful), checks.notices_nan),
    "unnormalised": (toy(belief=unnormalised), checks.believes),
    "unrepeatable": (toy(absorb=unrepeatable), checks.repeats),
    "step size baked in": (toy(belief=stubborn), sweep_is_vmap),
}


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda c: c.__name__)
def test_toy_keeps_every_rule(check: Any) -> None:
    check(bind(GOOD, MODEL))


def test_toy_sweeps() -> None:
    sweep_is_vmap(bind(GOOD, MODEL))


@pytest.mark.parametrize("name", WRONG)
def test_wrong_backend_is_rejected(name: str) -> None:
    posterior, check = WRONG[name]
    bound = Bound(posterior, MODEL)
    with pytest.raises((AssertionError, KeyReuseError)):
        check(bound, 20) if check is checks.never_retraces else check(bound)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"absorb": changes_dtype}, "absorb() turns a leaf"),
        ({"absorb": grows}, "absorb() turns a leaf"),
        ({"absorb": lambda key, state, events: (state,)}, "changes the structure"),
        ({"absorb": selects}, "absorb() failed: NonConcreteBooleanIndexError"),
        ({"refine": lambda key, state: state}, "refine() must return (state, Info)"),
        ({"refine": lambda key, state: (state, 1.0)}, "refine() must return (state, Info)"),
        ({"belief": lambda key, state, now: state.total}, "not Draws, Gaussian or Summary"),
        ({"belief": lambda key, state, now: Draws(state.total, state.total)}, "expected [S, 2]"),
    ],
)
def test_check_posterior_says_what_is_wrong(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_posterior("mine", toy(**wrong), MODEL)
    assert says in str(refused.value)
    assert "posterior mine" in str(refused.value)


def test_check_posterior_finds_weak_types() -> None:
    with pytest.raises(UsageError, match="weak types must stay"):
        check_posterior("mine", WEAK, MODEL)


def test_example_event_is_padding() -> None:
    event = example_event(MODEL)
    assert event.weight == 0
    assert event.id.dtype == jnp.int32
