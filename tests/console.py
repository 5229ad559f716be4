"""Run a command line inside the test's own process."""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
from uncertain.cli.environment import Environment
from uncertain.cli.main import execute


@dataclass
class Result:
    """Exit status, and what went to standard output and standard error."""

    status: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def errors(self) -> list[str]:
        return self.err.splitlines()


def call(*arguments: object, stdin: str | bytes = b"", terminal: bool = False) -> Result:
    """The result of `uncertain ARGUMENTS`."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    environment = Environment(
        io.BytesIO(given), out, err, terminal, False, variables={"UNCERTAIN_NO_CACHE": "1"}
    )
    status = execute([str(a) for a in arguments], environment)
    texts = []
    for stream in (out, err):
        stream.flush()
        stream.seek(0)
        texts.append(stream.read())
    return Result(status, *texts)


def stored_schema(name: str) -> jsonschema.Draft202012Validator:
    """The schema in `docs/` of the rows that a command writes."""
    text = (Path(__file__).parents[1] / "docs" / f"{name}.schema.json").read_text()
    return jsonschema.Draft202012Validator(json.loads(text))


def validate_rows(name: str, rows: list[dict[str, Any]]) -> None:
    """Check rows against the stored schema of that name."""
    assert rows
    for row in rows:
        stored_schema(name).validate(row)


def lines(*objects: Any) -> str:
    """NDJSON."""
    return "".join(json.dumps(one) + "\n" for one in objects)
