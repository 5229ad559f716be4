"""One field of a dataclass is a whole option: parsed, in help, in its group, on a command line."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest
from console import call
from uncertain.cli.app import app, command
from uncertain.cli.commands.bench import BenchOptions
from uncertain.cli.commands.parity import ParityOptions
from uncertain.cli.commands.replay import ReplayOptions
from uncertain.cli.commands.run import Fsync, RunOptions
from uncertain.cli.commands.sweep import SweepOptions
from uncertain.cli.commands.tune import TuneOptions
from uncertain.cli.options import (
    HalfLife,
    Seconds,
    argument,
    command_words,
    option,
    parameters_of,
    read_options,
)
from uncertain.cli.parameter import duration_text, split_commas
from uncertain.posteriors.errors import UsageError


class Colour(StrEnum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, kw_only=True)
class Made:
    """A command made for a test.

    Its second paragraph.
    """

    place: str = argument(metavar="PLACE", help="Where.")
    count: int = option(3, help="How many.", least=1, most=9, group="Numbers")
    share: float | None = option(None, help="A part.", least=0.0, most=1.0, group="Numbers")
    wait: Seconds = option(0.002, help="How long.", group="Times")
    fading: tuple[HalfLife, ...] = option((), help="Half-lives.", group="Times")
    sizes: tuple[int, ...] = option((), help="Sizes.", least=1, metavar="N,N", group="Numbers")
    colour: Colour = option(Colour.RED, help="Which.")
    plain: bool = option(False, "--plain", "-p", help="No colours.")
    plot: bool = option(True, "--no-plot", help="No plot.")


NOTHING: dict[str, Any] = {one.name: None for one in parameters_of(Made)} | {"place": "here"}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch):
    """The command `show` replaced by one made here; what its job was given."""
    given: list[Made] = []
    monkeypatch.setattr(app, "registered_commands", list(app.registered_commands))
    command("jobs.show:show", short="Made.", examples=("uncertain show here",))(Made)
    monkeypatch.setattr(
        "uncertain.cli.jobs.show.show", lambda options, environment: given.append(options)
    )
    return given


def test_a_field_alone_is_an_option(made, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("show", "--help").status == 0
    shown = " ".join(capsys.readouterr().out.split())
    for part in (
        "A command made for a test. Its second paragraph.",
        "Arguments: PLACE Where.",
        "Numbers: --count N How many. [default: 3]",
        "Times: --wait TIME How long. [default: 2ms]",
        "--colour red|blue Which. [default: red]",
        "-p, --plain No colours.",
        "Other: --no-cache",
    ):
        assert part in shown
    words = ("there", "--count", "5", "--wait", "1.5s", "--fading", "inf,10m", "--sizes", "1,2",
             "--sizes", "3", "--colour", "blue", "-p", "--no-plot", "--share", ".5")  # fmt: skip
    assert call("show", *words).status == 0
    assert made == [
        Made(
            place="there", count=5, share=0.5, wait=1.5, fading=(math.inf, 600.0), sizes=(1, 2, 3),
            colour=Colour.BLUE, plain=True, plot=False,
        )
    ]  # fmt: skip


WRONG = {
    "count": ("0", "--count 0: write a whole number of at least 1 and at most 9"),
    "share": ("nan", "--share nan: write a number of at least 0 and at most 1"),
    "wait": ("2", "--wait 2: '2' is no duration: it has no unit; write 2s"),
    "fading": (["1m,soon"], "--fading soon: 'soon' is no duration"),
    "sizes": (["8,x"], "--sizes x: write a whole number of at least 1"),
    "colour": ("blu", "--colour blu: choose red or blue; did you mean blue?"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_text_that_cannot_be_read_is_refused_by_name(name: str) -> None:
    text, message = WRONG[name]
    with pytest.raises(UsageError) as caught:
        read_options(Made, NOTHING | {name: text})
    assert str(caught.value).startswith(message)


def test_options_that_are_not_given_have_their_defaults() -> None:
    assert read_options(Made, NOTHING) == Made(place="here")


def test_a_command_line_is_read_as_what_it_was_written_from() -> None:
    values = {
        "place": "a b", "count": 4, "wait": 0.0025, "fading": (math.inf, 0.1 + 0.2),
        "colour": Colour.BLUE, "plain": True, "share": None, "sizes": (1, 2),
    }  # fmt: skip
    words = command_words(Made, values)
    assert words[0] == "a b"
    assert "--plain" in words
    given = dict(zip(words[1::2], words[2::2], strict=False))
    assert given["--wait"] == "2500us"
    assert given["--fading"] == "inf,300000000ns"
    assert given["--sizes"] == "1,2"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(60.0, "1m"), (90.0, "90s"), (7200.0, "2h"), (0.002, "2ms"), (1e-4, "0.0001s"), (1e-9, "1ns"),
     (math.inf, "inf"), (0.1, "0.1s"), (1.5, "1.5s"), (1 / 3, "0.3333333333333333s")],
)  # fmt: skip
def test_durations_are_written_as_they_are_read(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_commas_inside_brackets_do_not_separate() -> None:
    assert split_commas(["a,b", "c:x=(1,2),d"]) == ("a", "b", "c:x=(1,2)", "d")
    assert split_commas([]) == ()


def test_own_readers_and_checks() -> None:
    def read(options: type, **given: object) -> Any:
        nothing = {one.name: None for one in parameters_of(options)}
        return read_options(options, nothing | given)

    assert read(RunOptions, every="500").every == 500
    assert isinstance(read(RunOptions, every="500").every, int)
    assert read(RunOptions, every="5m").every == 300.0
    assert read(RunOptions).every == 10.0
    assert read(RunOptions, fsync="never").fsync == Fsync.NEVER
    assert read(SweepOptions, source="w", out="o", shard="2/8").shard == (2, 8)
    assert read(ReplayOptions, files=["a", "b,c"]).files == ("a", "b,c")
    assert read(ReplayOptions, files=["a"], posterior=["smc", "hmc"]).posterior == "smc,hmc"
    for options, given, words in (
        (RunOptions, {"every": "soon"}, "neither a number of lines nor a time"),
        (RunOptions, {"claim": "1s"}, "too short; write at least 2s"),
        (RunOptions, {"resume": True}, "--resume needs a folder: --checkpoint DIR"),
        (SweepOptions, {"source": "w", "out": "o", "shard": "3/2"}, "write I/N"),
    ):
        with pytest.raises(UsageError, match=words):
            read(options, **given)


@pytest.mark.parametrize("options", [BenchOptions, SweepOptions, TuneOptions, ParityOptions])
def test_every_option_has_a_group(options: type) -> None:
    assert all(one.spec.group or one.spec.positional for one in parameters_of(options))


def test_no_parser_error_is_in_the_library_s_words() -> None:
    for words, message in {
        ("run", "--partcles", "8"): "no option --partcles; did you mean --particles?",
        ("run", "--particles"): "--particles needs a value",
        ("run", "--quiet=3"): "--quiet takes no value",
        ("run", "a", "b"): "b: one argument too many",
        ("train", "location"): "--out FILE.npz is missing: File of the policy",
        ("calibrate",): "WORLD is missing: World or model",
        ("sweep", "w", "--out", "o", "--engine", "rya"): "--engine rya: choose local or ray; did",
        ("bench", "posteriordb", "--data", "x"): "bench posteriordb is a command of its own: "
        "uncertain parity posteriordb",
    }.items():
        result = call(*words)
        assert result.status == 2
        assert result.err.startswith(f"uncertain: error: {message}") or message in result.err
        assert len(result.errors) == 1
