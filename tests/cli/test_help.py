"""Help: instant, complete, within 80 columns, with examples; every command is documented."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from console import call
from uncertain.cli import commands  # noqa: F401  they add themselves to the application
from uncertain.cli.app import app
from uncertain.cli.environment import standard_environment
from uncertain.cli.pages import ORDER, OTHER, WIDTH

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


def test_commands_are_listed_in_the_order_of_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--help").status == 0
    shown = capsys.readouterr().out.partition("Commands:")[2].partition("Examples:")[0]
    assert tuple(line.split()[0] for line in shown.splitlines() if line[2:3].isalpha()) == ORDER
    assert COMMANDS.keys() == set(ORDER)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_grouped_and_within_80_columns(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("help", name).status == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= WIDTH
    assert f"\n{OTHER}:\n" in shown
    titles = [line for line in shown.splitlines() if line.endswith(":") and line[0] != " "]
    if len(COMMANDS[name].params) > 12:
        assert len(titles) >= 4
        assert "Options:" not in titles
    assert call(name, "--help").status == 0
    assert capsys.readouterr().out == shown


def test_help_of_the_whole_and_of_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("help").status == 0
    whole = capsys.readouterr().out
    assert max(map(len, whole.splitlines())) <= WIDTH
    assert call("--help").status == 0
    assert capsys.readouterr().out == whole
    result = call("help", "rnu")
    assert result.status == 2
    assert "no command rnu; did you mean run?" in result.err
    assert call("-V").status == 0
    assert capsys.readouterr().out.startswith("uncertain 0.")


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
        "from uncertain.cli.environment import standard_environment\n"
        "for words in (['--help'], ['--version'], *([n, '--help'] for n in sys.argv[1:])):\n"
        "    assert execute(words, standard_environment()) == 0\n"
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
    environment = standard_environment()
    assert environment.clock() > 0
    assert not environment.debug
