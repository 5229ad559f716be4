"""Help: instant, complete, with examples, and every command documented."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from console import call
from uncertain.cli.app import app
from uncertain.cli.environment import standard
from uncertain.cli.options import counts, names, seconds

ROOT = Path(__file__).parents[2]
# What typer makes of an app with several commands is a group; its type does not say so.
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = COMMANDS[name]
    assert command.help
    assert command.short_help
    for parameter in command.params:
        assert parameter.help, parameter.name
    assert call(name, "--help").status == 0
    shown = capsys.readouterr().out
    examples = shown.partition("Examples:")[2].split("\n")
    assert sum(line.startswith(f"  uncertain {name}") or f"uncertain {name}" in line
               for line in examples) >= 2  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    assert any(f"uncertain {name}" in page.read_text() for page in pages)


def test_examples_of_the_help_parse() -> None:
    """Every option an example uses exists."""
    for command in COMMANDS.values():
        known = {opt for parameter in command.params for opt in parameter.opts}
        for used in re.findall(r"(?<=\s)--?[a-z][a-z0-9-]*", command.epilog or ""):
            assert used in known, (command.name, used)


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom uncertain.cli.main import execute\n"
        "from uncertain.cli.environment import standard\n"
        "for words in (['--help'], ['--version'], *([n, '--help'] for n in sys.argv[1:])):\n"
        "    assert execute(words, standard()) == 0\n"
        "heavy = {'jax', 'numpy', 'numpyro', 'msgspec', 'optax', 'optuna', 'rich'}\n"
        "heavy &= set(sys.modules)\n"
        "print(sorted(heavy), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *COMMANDS], capture_output=True, text=True, check=True
    )
    assert done.stderr == "[]\n"
    assert "uncertain 0." in done.stdout


def test_no_command_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert call().status == 2
    assert "Commands:" in capsys.readouterr().err


def test_a_closed_pipe_ends_quietly() -> None:
    """The real thing: a process whose reader leaves after one line."""
    run = [sys.executable, "-c", "from uncertain.cli.main import main; main()", "list"]
    done = subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.stdout is not None
    done.stdout.close()
    assert done.stderr is not None
    assert done.stderr.read() == b""
    done.stderr.close()
    assert done.wait() == 0


def test_the_process_own_streams() -> None:
    environment = standard()
    assert environment.clock() > 0
    assert not environment.debug


def test_lists_numbers_and_durations() -> None:
    assert names(["a,b", "c:x=(1,2),d"]) == ("a", "b", "c:x=(1,2)", "d")
    assert names(None) == ()
    assert counts("--n", ["1,8", "64"], 1) == (1, 8, 64)
    assert seconds("--t", None) is None
    for text, value in (
        ("5ms", 5e-3),
        ("300us", 3e-4),
        ("300 µs", 3e-4),
        (".1s", 0.1),
        ("2", 2.0),
        ("5 min", 300.0),
        ("2h", 7200.0),
    ):
        assert seconds("--t", text) == pytest.approx(value)
    for text in ("0", "-1ms", "5 weeks", ""):
        with pytest.raises(typer.BadParameter):
            seconds("--t", text)
