"""Particles over devices: the same decisions whatever the number of devices, less memory on each.

Devices are virtual ones on the CPU, in processes of their own: their number is fixed at start.
"""

import json
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from jax.sharding import PartitionSpec
from uncertain.decide.loop.core.sharding import partition_spec

pytestmark = pytest.mark.live

PROGRAM = """
import json, sys
import jax, numpy as np
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_cpu_enable_async_dispatch", False)
from uncertain.decide.loop.core import packing, sharding
packing.LARGE = sharding.LARGE = 64
from uncertain.decide.loop.core.agent import build_agent
from uncertain.decide.loop.core.compiled import build_live, timed_decide, timed_learn
from uncertain.decide.loop.core.step import blank_request
from uncertain.posteriors.placeholders import example_event
from uncertain.posteriors.registry import build_model

model = build_model("location")
found = {}
for posterior in sys.argv[1:]:
    agent, _ = build_agent(
        model, posterior, "eig", particles=32, refine=2, proposer="prior", candidates=3
    )
    live = build_live(agent)
    packed = live.init(jax.random.key(1))
    request = live.write_request(jax.tree.map(np.asarray, blank_request(agent)))
    scores = []
    for t in range(4):
        decision = live.read_decision(timed_decide(live, packed, request)[0])
        event = example_event(model)._replace(
            action=decision.action, observation=np.float64(0.3 * t), weight=np.float64(1),
            id=np.int32(t), time=np.float64(t),
        )
        packed, _, _ = timed_learn(live, packed, live.write_event(event))
        scores.append(decision.scores.tolist())
    large = [leaf for leaf in packed if 32 in leaf.shape]
    found[posterior] = {
        "scores": scores,
        "bytes": sum(leaf.addressable_shards[0].data.nbytes for leaf in large),
        "programs": [live.decide._cache_size(), live.learn._cache_size()],
    }
print(json.dumps(found))
"""
POSTERIORS = ("ensemble:capacity=8", "smc:capacity=8")
DEVICES = (1, 2, 8)


@pytest.fixture(scope="module")
def runs() -> dict[int, Any]:
    """Number of devices -> posterior -> what came of the same four decisions."""
    found = {}
    for devices in DEVICES:
        count = f" --xla_force_host_platform_device_count={devices}"
        environment = {**os.environ, "XLA_FLAGS": os.environ.get("XLA_FLAGS", "") + count}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *POSTERIORS],
            env=environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
        found[devices] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("devices", DEVICES[1:])
def test_decisions_do_not_depend_on_the_number_of_devices(
    runs: dict[int, Any], devices: int, posterior: str
) -> None:
    one = np.array(runs[1][posterior]["scores"])
    many = np.array(runs[devices][posterior]["scores"])
    # Sums in another order, in double precision.
    np.testing.assert_allclose(many, one, rtol=1e-8)
    # So close an agreement is no accident: what was learnt moves the scores a million times more.
    assert np.abs(one[1:] - one[:-1]).max() > 1e-2


@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("devices", DEVICES[1:])
def test_each_device_holds_its_share(runs: dict[int, Any], devices: int, posterior: str) -> None:
    whole = runs[1][posterior]["bytes"]
    assert whole > 0
    assert runs[devices][posterior]["bytes"] * devices == whole


@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("devices", DEVICES)
def test_each_call_is_compiled_once(runs: dict[int, Any], devices: int, posterior: str) -> None:
    assert runs[devices][posterior]["programs"] == [1, 1]


def test_what_is_divided() -> None:
    assert partition_spec((4, 32768), 32768, 8) == PartitionSpec(None, "particles")
    assert partition_spec((32768, 32768), 32768, 8) == PartitionSpec(None, "particles")
    assert partition_spec((4, 64), 64, 8) is None  # small
    assert partition_spec((4, 32770), 32770, 8) is None  # not in equal parts
    assert partition_spec((4, 32768), 128, 8) is None  # no axis of particles
