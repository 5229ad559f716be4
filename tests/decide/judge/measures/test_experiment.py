"""Experiments as TOML: errors that name file, line and key; the resolved cells; the round trip."""

from pathlib import Path

import pytest
from console import call
from uncertain.decide.judge.engine.result_index import identity_of
from uncertain.decide.judge.measures.experiment import Experiment, Grid
from uncertain.decide.judge.measures.experiment_toml import (
    built_in_experiments,
    decode_experiment,
    encode_experiment,
    load_experiment,
)
from uncertain.posteriors.errors import UsageError
from uncertain.streams.storage.results import result_key

CELL = '[[cells]]\nposterior = "exact"\n'

WRONG = {
    "unknown key": ("sedes = 3\n" + CELL, ("x.toml:1", '"sedes"', '"seeds"')),
    "later line": ("seed = 1\n\nstepz = 3\n" + CELL, ("x.toml:3", '"stepz"', "steps")),
    "key of a cell": (CELL + "particle = 3\n", ("x.toml:3", '"particle"', "particles")),
    "key of the grid": (
        '[grid]\nposterior = ["exact"]\nrules = ["eig"]\n',
        ("x.toml:3", '"rules"', '"rule"'),
    ),
    "wrong type": ('steps = "many"\n' + CELL, ("x.toml:1", "int")),
    "wrong type in a cell": (CELL + 'refine = "x"\n', ("x.toml:3", "int")),
    "words for a number in a spec": (
        '[[cells]]\nposterior = "smc:particles=many"\n',
        ("x.toml", "particles='many'", "whole number"),
    ),
    "not TOML": ("steps = = 3\n", ("x.toml", "not TOML", "line 1")),
    "no steps": ("steps = 0\n" + CELL, ("x.toml", "steps = 0", "at least 1")),
    "no seeds": ("seeds = 0\n" + CELL, ("x.toml", "seeds = 0", "at least 1")),
    "negative seed": ("seed = -1\n" + CELL, ("x.toml", "seed = -1", "at least 0")),
    "candidates": ("candidates = 0\n" + CELL, ("x.toml", "candidates = 0")),
    "live": ("live = -1\n" + CELL, ("x.toml", "live = -1")),
    "samples": ("samples = -1\n" + CELL, ("x.toml", "samples = -1", "at least 0")),
    "no bound": ("samples = 0\n" + CELL, ("x.toml", "samples = 0", "spce")),
    "explore": ("explore = 1.5\n" + CELL, ("x.toml", "explore = 1.5", "between 0 and 1")),
    "explore NaN": ("explore = nan\n" + CELL, ("x.toml", "explore = nan")),
    "spce": ("spce = 0\n" + CELL, ("x.toml", "spce = 0", "at least 1")),
    "joint": ("joint = 0\n" + CELL, ("x.toml", "joint = 0", "at least 1")),
    "one of joint": ("joint = [1, 0]\n" + CELL, ("x.toml", "joint = [1, 0]", "at least 1")),
    "settle": ("settle = -1\n" + CELL, ("x.toml", "settle = -1", "at least 0")),
    "workers": ("workers = -1\n" + CELL, ("x.toml", "workers = -1", "at least 0")),
    "no cells": ("steps = 3\n", ("x.toml", "[[cells]]")),
}


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_named(text: str, words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as error:
        decode_experiment(text, "x.toml")
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_an_experiment_nobody_has() -> None:
    with pytest.raises(UsageError, match=r'"defalt".*default'):
        load_experiment("defalt")


def test_a_file_that_is_not_text(tmp_path) -> None:
    file = tmp_path / "odd.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"odd\.toml: cannot be read"):
        load_experiment(str(file))


def test_an_ending_names_the_same_experiment_unless_a_file_has_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_experiment("wheel.toml") == load_experiment("wheel")
    Path("wheel.toml").write_text(CELL)
    assert load_experiment("wheel.toml") != load_experiment("wheel")


@pytest.mark.parametrize("name", built_in_experiments())
def test_round_trip_of_what_comes_with_the_tool(name: str) -> None:
    experiment = load_experiment(name)
    again = decode_experiment(encode_experiment(experiment), "again.toml")
    assert again.resolved() == experiment.resolved()
    assert encode_experiment(again) == encode_experiment(experiment)


def test_round_trip_of_every_kind_of_value() -> None:
    experiment = Experiment(
        world="linear:arms=3",
        model="linear:arms=3:noise=0.25",
        explore=0.125,
        spce=10,
        joint=[5, 50],
        settle=7,
        fidelity=True,
        proposer='file "x".py:make',
        grid=Grid(["smc:capacity=20", "laplace"], ["eig", "ucb:width=2"], [8, 16], [1, 2]),
    )
    again = decode_experiment(encode_experiment(experiment), "again.toml")
    assert again.resolved() == experiment.resolved()
    for name in ("explore", "spce", "joint", "settle", "fidelity", "live", "samples", "workers"):
        assert getattr(again, name) == getattr(experiment, name)


def test_what_may_be_asked_for_without_a_gain() -> None:
    assert decode_experiment("samples = 0\njoint = [1, 10]\n" + CELL, "x.toml").taus == (1, 10)
    assert decode_experiment("joint = 10\n" + CELL, "x.toml").taus == (10,)
    assert decode_experiment(CELL, "x.toml").taus == ()
    assert decode_experiment(CELL, "x.toml").gain
    paying = decode_experiment('samples = 0\nworld = "linear"\n' + CELL, "x.toml")
    assert not paying.gain
    # Location pays nothing.
    with pytest.raises(UsageError, match="spce or joint"):
        decode_experiment('samples = 0\nworld = "location"\n' + CELL, "x.toml")


def test_a_grid_over_what_a_backend_lacks_has_no_duplicates() -> None:
    cells = Experiment(grid=Grid(["exact", "smc"], [], [8, 16], [1, 2])).resolved()
    assert len(cells) == len(set(cells))
    exact = [c for c in cells if c.posterior == "exact"]
    smc = [c for c in cells if c.posterior == "smc"]
    assert [(c.particles, c.refine) for c in exact] == [(None, 0)]
    assert [(c.particles, c.refine) for c in smc] == [(8, 1), (8, 2), (16, 1), (16, 2)]


def test_settings_in_a_spec_win() -> None:
    (cell,) = Experiment(grid=Grid(["smc:particles=4:refine=3"], [], [8], [1])).resolved()
    assert (cell.particles, cell.refine) == (4, 3)
    assert "refine" not in cell.posterior


def test_steps_between_events_survive_a_round_trip() -> None:
    experiment = Experiment(grid=Grid(["smc"], [], [8], [1], think=[0, 5]))
    cells = experiment.resolved()
    assert [cell.think for cell in cells] == [0, 5]
    assert decode_experiment(encode_experiment(experiment), "printed.toml").resolved() == cells


def test_half_lives_are_in_the_posteriors_and_survive_a_round_trip() -> None:
    text = 'world = "linear"\n[grid]\nposterior = ["laplace", "point:half_life=5"]\n'
    experiment = decode_experiment(text + "half_life = [inf, 20, 0.5]\n", "mine.toml")
    cells = experiment.resolved()
    # What says its own keeps it; inf forgets nothing.
    assert [cell.posterior for cell in cells] == [
        "laplace", "laplace:half_life=20", "laplace:half_life=0.5", "point:half_life=5",
    ]  # fmt: skip
    assert decode_experiment(encode_experiment(experiment), "printed.toml").resolved() == cells
    assert len({result_key(identity_of(cell, experiment)) for cell in cells}) == 4
    row = '[[cells]]\nposterior = "smc:half_life=inf"\nhalf_life = 3\n'
    assert [cell.posterior for cell in decode_experiment(row, "mine.toml").resolved()] == ["smc"]


@pytest.mark.parametrize("value", ["0", "-1.0", "[5, 0]"])
def test_half_lives_are_above_none(value: str) -> None:
    part = "[grid]" if value.startswith("[") else "[[cells]]"
    posterior = '["smc"]' if part == "[grid]" else '"smc"'
    with pytest.raises(UsageError, match=r"mine\.toml:3.*> 0"):
        decode_experiment(f"{part}\nposterior = {posterior}\nhalf_life = {value}", "mine.toml")


@pytest.mark.parametrize(
    "text",
    ['[[cells]]\nposterior = "smc"\nthink = -1', '[grid]\nposterior = ["smc"]\nthink = [1, -1]'],
)
def test_steps_between_events_are_not_below_none(text: str) -> None:
    with pytest.raises(UsageError, match=r"mine\.toml:3.*>= 0"):
        decode_experiment(text, "mine.toml")


def test_lists_on_the_command_line_keep_what_a_configuration_compares(tmp_path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'world = "finite"\n'
        '[[cells]]\nposterior = "smc"\nrule = "random"\nparticles = 1\n'
        '[[cells]]\nposterior = "exact"\n'
        '[[grids]]\nposterior = ["smc"]\nparticles = [4, 8]\nrule = ["eig"]\n'
    )
    result = call(
        "bench", "--config", file, "--refine", "1,2", "--rule", "greedy", "--print-config"
    )
    cells = decode_experiment(result.out, "printed.toml").resolved()
    assert [(c.posterior, c.rule, c.particles, c.refine) for c in cells] == [
        ("smc", "random", 1, 5),
        ("exact", "greedy", None, 0),
        ("smc", "greedy", 4, 1),
        ("smc", "greedy", 4, 2),
        ("smc", "greedy", 8, 1),
        ("smc", "greedy", 8, 2),
    ]


def test_print_config_is_what_runs(tmp_path) -> None:
    result = call(
        "bench", "finite", "--posterior", "exact,smc", "--particles", "4,8", "--steps", "3",
        "--seeds", "2", "--print-config",
    )  # fmt: skip
    assert result.status == 0
    experiment = decode_experiment(result.out, "printed.toml")
    assert (experiment.world, experiment.steps, experiment.seeds) == ("finite", 3, 2)
    assert [c.particles for c in experiment.resolved()] == [None, 4, 8]
    file = tmp_path / "printed.toml"
    file.write_text(result.out)
    assert call("bench", "--config", file, "--print-config").out == result.out


def test_wrong_configurations_on_the_command_line(tmp_path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("world = 'finite'\nsedes = 1\n" + CELL)
    result = call("bench", "--config", file)
    assert result.status == 2
    assert len(result.errors) == 1
    assert "mine.toml:2" in result.err
    assert "seeds" in result.err
    assert call("bench", "--config", "defalt").status == 2


SEVERAL = """
steps = 9
[[cells]]
posterior = "exact"
[[cells]]
posterior = "smc"
world = "number-game"
steps = 3
[[grids]]
posterior = ["smc", "exact"]
world = ["finite", "number-game"]
particles = [2, 4]
seeds = 5
"""


def test_cells_may_have_a_world_of_their_own() -> None:
    cells = decode_experiment('world = "finite"\n' + SEVERAL, "mine.toml").resolved()
    said = [(c.world, c.model, c.posterior, c.particles, c.steps, c.seeds) for c in cells]
    assert said[:2] == [
        ("finite", "finite", "exact", None, 9, 32),
        ("number-game", "number-game", "smc", 128, 3, 32),
    ]
    assert said[2:] == [
        ("finite", "finite", "smc", 2, 9, 5),
        ("finite", "finite", "smc", 4, 9, 5),
        ("finite", "finite", "exact", None, 9, 5),
        ("number-game", "number-game", "smc", 2, 9, 5),
        ("number-game", "number-game", "smc", 4, 9, 5),
        ("number-game", "number-game", "exact", None, 9, 5),
    ]


def test_several_worlds_survive_a_round_trip() -> None:
    experiment = decode_experiment('world = "finite"\nmodel = "finite"\n' + SEVERAL, "mine.toml")
    assert (
        decode_experiment(encode_experiment(experiment), "again.toml").resolved()
        == experiment.resolved()
    )


def test_an_option_overrules_every_cell(tmp_path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('world = "finite"\n' + SEVERAL)
    shown = call("bench", "--config", str(path), "--steps", "2", "--print-config")
    steps = {cell.steps for cell in decode_experiment(shown.out, "shown").resolved()}
    assert steps == {2}
