"""No room: a full disk, folders where nothing may be written, a line larger than it should be.

See also: live/test_resume.py, tests/streams/storage/test_wal.py and
tests/streams/storage/test_checkpoint.py for full disks under a log or a checkpoint,
tests/streams/inputs/test_redis_trouble.py for full servers.
"""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from console import call, lines
from uncertain.cli.environment import Environment
from uncertain.cli.main import execute

pytestmark = pytest.mark.live

RUN = ("run", "--model", "linear:arms=3:features=1")
MAIN = (sys.executable, "-c", "from uncertain.cli.main import main; main()")
NOWHERE = "/proc/nowhere"
"""Where nobody can make a file, whatever their rights."""
LEFT = 16 << 20
"""Bytes that a line of 100 MB may take."""


def test_replies_to_a_full_disk_are_sent_after_a_resume(tmp_path: Path) -> None:
    given = lines(*({"id": i, "x": [1]} for i in range(3)))
    keep = ("--checkpoint", tmp_path, "--resume", "--quiet")
    errors = io.StringIO()
    # Without a buffer, which would be tried again when it is closed.
    with io.TextIOWrapper(open("/dev/full", "wb", 0), write_through=True) as full:  # type: ignore[arg-type]
        words = [str(word) for word in (*RUN, *keep)]
        environment = Environment(io.BytesIO(given.encode()), full, errors)
        status = execute(words, environment)
    assert status == 2
    assert errors.getvalue() == "uncertain: error: No space left on device\n"
    found = call(*RUN, *keep, stdin=given)
    told = [{k: v for k, v in row.items() if k != "latency"} for row in found.rows]
    undisturbed = call(*RUN, stdin=given).rows
    wanted = [{k: v for k, v in row.items() if k != "latency"} for row in undisturbed]
    # The reply that was under way comes first, then those to lines that come again.
    assert told in (wanted, [wanted[0], *wanted])


@pytest.mark.parametrize(
    "words",
    [
        (*RUN, "--checkpoint", NOWHERE),
        (*RUN, "--on-error", "quarantine", "--quarantine", NOWHERE),
        ("simulate", "linear", "--steps", 3, "-o", f"{NOWHERE}.ndjson"),
        ("bench", "finite", "--posterior", "exact", "--export-json", f"{NOWHERE}.json"),
        pytest.param(
            ("sweep", "finite", "--posterior", "exact", "--out", NOWHERE),
            marks=pytest.mark.nightly,
        ),
        ("tune", "finite", "--posterior", "exact", "--budget", "1s", "-o", f"{NOWHERE}.toml"),
        ("convert", "LOG", f"{NOWHERE}.csv"),
    ],
    ids=lambda words: words[0] + words[-2],
)
def test_where_nothing_may_be_written_one_line_says_so(tmp_path: Path, words) -> None:
    log = tmp_path / "log.ndjson"
    log.write_text(lines({"id": 1, "x": [1], "action": 0, "propensity": 0.5, "y": 1}))
    result = call(*(log if word == "LOG" else word for word in words))
    errors = [line for line in result.errors if not line.startswith("uncertain: ready after")]
    assert (result.status, result.out, len(errors)) == (2, "", 1), result.err
    assert NOWHERE in errors[0]
    assert "cannot be written" in errors[0]


@pytest.mark.nightly
def test_a_line_of_a_hundred_megabytes_through_a_pipe(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*MAIN, *RUN, "--on-error", "skip", "--max-line", "100000", "--no-cache"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None

    def peak() -> int:
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) << 10

    process.stdin.write(b'{"id":1,"x":[1]}\n')
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["action"] in (0, 1, 2)
    before = peak()
    process.stdin.write(b'{"id":2,"x":[')
    for _ in range(100):
        process.stdin.write(b"1," * 500_000)
    process.stdin.write(b"1]}\n")
    process.stdin.flush()
    reply = json.loads(process.stdout.readline())
    assert reply["id"] == 2
    assert "100000016 bytes, at most 100000 are taken" in reply["error"]
    assert peak() - before < LEFT
    out, err = process.communicate(b'{"id":1,"y":1}\n', timeout=60)
    assert (process.returncode, json.loads(out)["id"]) == (0, 1)
    assert b"1 lines refused: 1 too long" in err
