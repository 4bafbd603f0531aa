"""The local back end on a device that is not the CPU, without such a device: see `pretend_gpu`."""

import json
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def found(world, tmp_path_factory):
    """One process for all: PyTorch takes seconds to import, and lets a device of one's own be registered once."""
    command = [
        sys.executable,
        "-m",
        "tests.local.on_pretend_gpu",
        str(world.root),
        str(tmp_path_factory.mktemp("runs")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", ["zppo", "distilled"])
def test_the_same_responses_and_updates_as_on_the_cpu(found, name):
    cpu, gpu = found[name]["cpu"], found[name]["pretend"]
    assert cpu["kinds"] == gpu["kinds"] and cpu["texts"] == gpu["texts"]
    assert cpu["metrics"].keys() == gpu["metrics"].keys()
    for step, row in cpu["metrics"].items():
        counted = {key: value for key, value in row.items() if not key.startswith(("timing_s/", "zppo/time_s/"))}
        assert {key: gpu["metrics"][step][key] for key in counted} == pytest.approx(counted, rel=1e-4, abs=1e-6), step


def test_the_runs_show_something(found):
    zppo, distilled = found["zppo"]["cpu"], found["distilled"]["cpu"]
    assert zppo["kinds"].keys() == {"2"} and set(zppo["kinds"]["2"]) == {"plain", "bcq", "ncq"}  # taken up after step 1
    assert zppo["metrics"]["2"]["actor/grad_norm"] > 0 and "val-core/price_list/acc/mean@1" in zppo["metrics"]["2"]
    assert distilled["metrics"]["1"]["actor/distillation/loss"] > 0


def test_a_tensor_that_stays_on_the_cpu_is_found(found):
    assert "MixedDevicesError" in found["forgotten"]
