"""Wrong use gives one line that names the mistake and exit code 2, and loses nothing written.

See also: tests/streams/formats/test_reasons.py for the faults of single fields.
"""

import json
from pathlib import Path

import pytest
from console import call

LINEAR = ("run", "--quiet", "--model", "linear:arms=3:features=2")
GOOD = '{"id":"good","x":[1,2]}\n'

LINES = {
    "malformed": ('{"id":1,', "not JSON"),
    "missing field": ('{"t":1}', "id: missing"),
    "misspelt field": ('{"id":1,"actoin":0}', 'did you mean "action"'),
    "NaN": ('{"id":1,"x":[NaN,1]}', "x: NaN is no number"),
    "infinity": ('{"id":1,"y":Infinity}', "y: Infinity is no number"),
    "too large": ('{"id":1,"x":[1e300,1]}', "x: too large"),
    "wrong dimension": ('{"id":1,"x":[1,2,3]}', "x: expected 2 numbers, got 3"),
    "no context": ('{"id":1}', "x: expected 2 numbers, got 0"),
    "no such arm": ('{"id":1,"x":[1,2],"action":7,"propensity":1,"y":0}', "no arm called 7"),
    "no candidate": (
        '{"id":1,"x":[1,2],"actions":[0,1],"action":"9","propensity":1,"y":0}',
        "no arm called '9'",
    ),
    "unknown candidate": ('{"id":1,"x":[1,2],"actions":[0,8]}', "actions: no arm called 8"),
    "no candidates": ('{"id":1,"x":[1,2],"actions":[]}', "actions: no candidates"),
    "vector for arms": ('{"id":1,"x":[1,2],"action":[1,2],"propensity":1,"y":0}', "arms"),
    "vector outcome": ('{"id":1,"x":[1,2],"action":0,"propensity":1,"y":[0]}', "y: is a vector"),
    "propensity": ('{"id":1,"x":[1,2],"action":0,"propensity":2,"y":0}', "propensity"),
    "costs": ('{"id":1,"x":[1,2],"cost":[1,2]}', "cost: expected 3 numbers, got 2"),
    "no cost": ('{"id":1,"x":[1,2],"cost":[1,2,0]}', "cost[2]: expected float > 0"),
    "dear": ('{"id":1,"x":[1,2],"cost":[1,2,1e300]}', "cost: too large"),
    "repeated id": ('{"id":"good","x":[1,2]}', "already waiting"),
    "not UTF-8": (b'{"id":"\xff"}', "UTF-8"),
}


@pytest.mark.parametrize(("line", "words"), LINES.values(), ids=LINES)
def test_a_wrong_line(line, words) -> None:
    given = line if isinstance(line, bytes) else line.encode()
    result = call(*LINEAR, stdin=GOOD.encode() + given + b"\n" + GOOD.encode())
    assert result.status == 2
    assert len(result.errors) == 1
    assert result.err.startswith("uncertain: error: <stdin>:2: ")
    assert words in result.err
    assert [row["id"] for row in result.rows] == ["good"]


OPTIONS = {
    "command": (("rnu",), "no command rnu; did you mean run?"),
    "option": (("run", "--partcles", "8"), "did you mean --particles"),
    "particles": (("run", "--particles", "0"), "--particles"),
    "explore": (("run", "--explore", "2"), "--explore"),
    "seed": (("simulate", "linear", "--seed", "-1"), "--seed"),
    "no number": (("simulate", "linear", "--steps", "many"), "--steps"),
    "duration": (("bench", "--max-p99", "quick"), "write 5ms"),
    "no unit": (("run", "--deadline", "2"), "it has no unit; write 2s"),
    "list of numbers": (("bench", "--particles", "8,x"), "--particles x: write a whole number"),
    "no file": (("replay",), "FILES"),
    "model": (("run", "--model", "liner"), 'did you mean "linear"'),
    "model option": (("run", "--model", "linear:arm=3"), 'did you mean "arms"'),
    "posterior": (("run", "--posterior", "laplas"), 'did you mean "laplace"'),
    "rule": (("run", "--rule", "tompson"), 'did you mean "thompson"'),
    "proposer": (("run", "--model", "location", "--rule", "eig", "--proposer", "gird"), '"grid"'),
    "world": (("simulate", "locaton"), 'did you mean "location"'),
    "kind": (("list", "modls"), 'did you mean "models"'),
    "no reward": (("run", "--model", "location", "--rule", "greedy"), "needs a reward"),
    "arms": (("run", "--arms", "a,b", "--model", "linear:arms=3"), "--arms names 2"),
    "no arms": (("run", "--arms", "a,b", "--model", "location", "--rule", "eig"), "no arms"),
    "one file for many": (("simulate", "linear", "--seeds", "2"), "{run}"),
    "absent file": (("run", "absent.ndjson"), "absent.ndjson: no such file"),
    "folder": (("run", "."), "is a folder"),
    "absent log": (("replay", "absent.ndjson"), "absent.ndjson: no such file"),
    "unwritable": (("simulate", "linear", "-o", "absent/log"), "absent/log: cannot be written"),
    "absent user file": (("run", "--model", "absent.py:Mine"), "no such file"),
    "other space": (("simulate", "linear", "--model", "location"), "name another --model"),
}


@pytest.mark.parametrize(("arguments", "words"), OPTIONS.values(), ids=OPTIONS)
def test_a_wrong_command_line(arguments, words) -> None:
    result = call(*arguments)
    assert result.status == 2
    assert len(result.errors) == 1
    assert result.err.startswith("uncertain: error: ")
    assert words in result.err
    assert not result.out


USERS = {
    "syntax": ("x = 1\nclass Mine(\n", ":2: SyntaxError"),
    "import": ("\n\nimport no_such_package\n", ":3: ModuleNotFoundError"),
    "not a model": ("Mine = 3\n", "not a model"),
    "no such object": ("Mien = 3\n", "did you mean"),
    "no prior": (
        "from uncertain.posteriors import Model, Vector\nclass Mine(Model):\n"
        "    actions = Vector(1)\n    __hash__ = object.__hash__\n",
        "does not define prior()",
    ),
    "failing": ("def Mine():\n    return 1 / 0\n", ":2: ZeroDivisionError"),
}


@pytest.mark.parametrize(("text", "words"), USERS.values(), ids=USERS)
def test_a_broken_user_file(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)
    result = call("run", "--model", f"{file}:Mine")
    assert result.status == 2
    assert len(result.errors) == 1
    assert str(file) in result.err
    assert words in result.err


def test_a_user_rule_that_fails_when_first_asked(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "def build(model):\n    def choose(key, belief, model, stats, candidates):\n"
        "        return belief.nothing\n    return choose\n"
    )
    result = call("run", "--rule", f"{file}:build")
    assert result.status == 2
    assert f"{file}:3: AttributeError" in result.err
    assert len(result.errors) == 1


def test_what_stood_in_the_output_stays(tmp_path: Path) -> None:
    file = tmp_path / "log.ndjson"
    file.write_text("precious")
    assert call("simulate", "liner", "-o", file).status == 2
    assert file.read_text() == "precious"


def test_a_bug_is_one_line_and_a_traceback_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> int:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr("uncertain.cli.jobs.list.list_", broken)
    result = call("list")
    assert result.status == 70
    assert len(result.errors) == 1
    assert "two lines" in result.err
    assert "--debug" in result.err
    assert "Traceback" in call("list", "--debug").err
    assert "Traceback" in call("--debug", "list").err


def test_interrupted_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(error: BaseException):
        def body(*arguments: object) -> int:
            raise error

        return body

    monkeypatch.setattr("uncertain.cli.jobs.list.list_", raising(KeyboardInterrupt()))
    result = call("list")
    assert (result.status, result.err) == (130, "uncertain: interrupted\n")
    monkeypatch.setattr("uncertain.cli.jobs.list.list_", raising(BrokenPipeError()))
    result = call("list")
    assert (result.status, result.err) == (0, "")
    monkeypatch.setattr(
        "uncertain.cli.jobs.list.list_", raising(OSError(28, "No space left", "log"))
    )
    result = call("list")
    assert (result.status, result.err) == (2, "uncertain: error: log: No space left\n")


def test_the_message_of_a_log_names_its_file(tmp_path: Path) -> None:
    file = tmp_path / "log.ndjson"
    events = [{"id": i, "action": i % 2, "propensity": 0.5, "y": 1.0} for i in range(3)]
    file.write_text("".join(json.dumps(e) + "\n" for e in events) + '{"id":4,"y":NaN}\n')
    for command in ("run", "replay"):
        result = call(command, file, "--model", "linear:arms=2:features=0")
        assert result.status == 2
        assert f"{file}:4: y: NaN is no number" in result.err
