"""A worker process is set up like the process that it works for."""

import subprocess
import sys
from pathlib import Path

import pytest

WORKER = """
import sys
from uncertain.decide.judge.engine.worker_process import configure_jax
configure_jax(sys.argv[1] if sys.argv[2] == "ours" else None, False)
import jax
if sys.argv[2] == "plain":
    jax.config.update("jax_compilation_cache_dir", sys.argv[1])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
print(jax.jit(lambda x: 2 * x)(3.0))
"""


def started(cache: Path, how: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WORKER, str(cache), how]
    return subprocess.run(command, capture_output=True, text=True, check=True)


@pytest.mark.live
def test_a_program_that_cannot_be_read_is_compiled_without_a_word(tmp_path) -> None:
    assert not started(tmp_path, "ours").stderr
    stored = [file for file in tmp_path.iterdir() if file.name.endswith("-cache")]
    assert stored
    for file in stored:
        file.write_bytes(file.read_bytes()[:100])  # as while another worker writes it
    again = started(tmp_path, "ours")
    assert float(again.stdout) == 6
    assert not again.stderr
    # Negative control: JAX itself warns.
    for file in stored:
        file.write_bytes(file.read_bytes()[:100])
    assert "Error reading persistent" in started(tmp_path, "plain").stderr
