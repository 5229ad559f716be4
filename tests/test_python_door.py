"""`import uncertain`: it decides as the command line does, reads a belief, refuses wrong input."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from console import call, lines

import uncertain

EXAMPLE = Path(__file__).parents[1] / "examples" / "python_door.py"
MODEL = "linear:arms=3:features=2"


def test_decides_as_the_command_line_does() -> None:
    """The same seed and events give the same arms, propensities and scores, to the bit."""
    contexts = [[0.5, -1.0], [2.0, 0.25], [-0.75, 1.5]]
    given = [
        line
        for i, x in enumerate(contexts)
        for line in ({"id": i, "x": x, "t": 0}, {"id": i, "y": i - 0.5, "t": 0})
    ]
    command = ("run", "--model", MODEL, "--posterior", "laplace", "--rule", "eig", "--seed", 7)
    replies = [r for r in call(*command, stdin=lines(*given)).rows if "action" in r]
    agent = uncertain.build(MODEL, "laplace", "eig", seed=7)
    for i, (x, reply) in enumerate(zip(contexts, replies, strict=True)):
        choice = agent.decide(x)
        assert choice.action == reply["action"]
        assert choice.propensity == reply["propensity"]
        assert [float(score) for score in choice.scores] == reply["scores"]
        assert agent.learn(choice.action, i - 0.5, x)
    assert agent.events == 3


def test_belief_is_that_of_a_closed_form() -> None:
    """One arm's mean after one event: N(0, 1) and noise 1/2 give mean .8 y and variance .2; 128
    draws are off by more than 5 standard errors less than once in a million."""
    agent = uncertain.build("linear:arms=2:features=0", "laplace", "random")
    before = agent.belief()
    assert agent.learn(1, 2.0)
    after = agent.belief()
    (name,) = after.values
    count = len(after.weights)
    assert np.isclose(after.weights.sum(), 1)
    mean, sd = after.mean(name).ravel(), after.sd(name).ravel()
    assert abs(mean[1] - 1.6) < 5 * (0.2 / count) ** 0.5
    assert abs(mean[0]) < 5 / count**0.5
    assert abs(sd[1] - 0.2**0.5) < 5 * (0.2 / (2 * count)) ** 0.5
    # Negative control: the belief before the event fails the first of these.
    assert abs(before.mean(name).ravel()[1] - 1.6) > 5 * (0.2 / count) ** 0.5


def test_decisions_between_events_differ_in_their_noise() -> None:
    agent = uncertain.build("linear:arms=8:features=0", "laplace", "thompson")
    assert len({agent.decide().action for _ in range(20)}) > 2


@pytest.mark.parametrize(
    ("call_with", "message"),
    [
        (lambda a: a.decide([1.0]), "context: 1 number given, the model takes 2"),
        (lambda a: a.decide([1.0, float("nan")]), "context: [1.0, nan] is not finite"),
        (lambda a: a.decide([0, 0], valid=[False] * 3), "valid: no candidate is left"),
        (lambda a: a.learn(3, 1.0, [0, 0]), "action: 3 is no arm: give a number from 0 to 2"),
        (lambda a: a.learn(0, "x", [0, 0]), "observation: 'x' is no number"),
        (lambda a: a.learn(0, 1.0, [0, 0], weight=-1.0), "weight: -1.0 is negative"),
    ],
)
def test_wrong_input_is_refused_in_one_line(call_with, message) -> None:
    agent = uncertain.build(MODEL, "laplace", "random")
    with pytest.raises(uncertain.UsageError, match=re.escape(message)):
        call_with(agent)
    assert agent.events == 0


def test_wrong_name_is_refused() -> None:
    with pytest.raises(uncertain.UsageError, match="laplace"):
        uncertain.build(MODEL, "laplce")


def test_example_finds_the_threshold(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within 4 of the belief's own standard deviations; its seeds are fixed."""
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    runpy.run_path(str(EXAMPLE))
    mean, sd = (float(x) for x in re.findall(r"[\d.]+", capsys.readouterr().out))
    assert abs(mean - 6) < 4 * sd < 3


def test_readme_shows_the_example() -> None:
    text = EXAMPLE.read_text()
    shown = text[text.index("import random") :]
    assert shown in (EXAMPLE.parents[1] / "README.md").read_text()


def test_import_is_light() -> None:
    """Neither JAX nor NumPy comes with the package, and its names are listed."""
    code = (
        "import sys, uncertain; assert 'build' in dir(uncertain); print(uncertain.__version__, "
        "[m for m in ('jax', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"\d+\.\d+\.\d+ \[\]", done.stdout.strip())


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = uncertain.nothing
