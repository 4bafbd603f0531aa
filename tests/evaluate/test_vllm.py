"""What becomes of `vllm serve`: its command line, and a server that fails, hangs, or outlives the command."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from recipe.zppo.errors import ConfigError
from recipe.zppo.evaluate.engines.vllm import VLLMSettings, vllm_engine
from recipe.zppo.evaluate.evaluation import Evaluation
from recipe.zppo.evaluate.settings import EvaluateSettings
from recipe.zppo.run.processes import started_at
from tests.evaluate.small import TEXT, sums, write_jsonl

STAND_IN = Path(__file__).with_name("vllm_stand_in.py")
ONE = VLLMSettings(gpus=1)


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `vllm` on the PATH; the file lists process ids and arguments of its calls."""
    command = tmp_path / "bin/vllm"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -S {STAND_IN} "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN", "serves")
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "calls"))
    monkeypatch.setattr("recipe.zppo.evaluate.engines.vllm._LOOK_EVERY_S", 0.05)
    return tmp_path / "calls"


def read(calls: Path) -> list[list]:
    return [json.loads(line) for line in calls.read_text().splitlines()]


def ended(pid: int) -> bool:
    for _ in range(200):
        if started_at(pid) is None:
            return True
        time.sleep(0.05)
    return False


def refusal(tmp_path: Path, settings: VLLMSettings = ONE) -> str:
    async def start() -> None:
        async with vllm_engine("nowhere", settings, tmp_path / "engine.log"):
            pass

    with pytest.raises(ConfigError) as error:
        asyncio.run(start())
    return str(error.value).replace(str(tmp_path), "")


def test_student_first_and_then_the_judge(calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each has all GPUs, one after the other; for a model that is finished nothing is started."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    write_jsonl(tmp_path / "data/own/sums/test.jsonl", sums(3))
    keys = {"model": ("a/b", "c"), "judge": "judge", "data": str(tmp_path / "data"), "out": str(tmp_path / "out")}
    settings = EvaluateSettings(**keys, tensor_parallel=2, vllm_args=("--enforce-eager",))
    for _ in range(2):
        evaluation = Evaluation(settings, [TEXT])
        asyncio.run(evaluation.run())
        for model in evaluation.models:
            result = model.results.benchmarks["Text"]
            assert (result.score, result.by_judge, result.tokens, result.judge_tokens) == (100.0, 3, 9, 9)
    started = read(calls)
    assert [call[2] for call in started] == ["a/b", "c", "judge"]
    arguments = started[0][1:]
    port = arguments[arguments.index("--port") + 1]
    assert " ".join(arguments) == (
        f"serve a/b --served-model-name a/b --host 127.0.0.1 --port {port} --max-model-len 262144 "
        "--gpu-memory-utilization 0.9 --tensor-parallel-size 2 --data-parallel-size 2 --generation-config vllm "
        f"--allowed-local-media-path {tmp_path / 'data'} --enforce-eager"
    )
    assert all(ended(call[0]) for call in started)


def test_a_start_that_fails_is_one_line(calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STAND_IN", "fails")
    assert refusal(tmp_path) == (
        "engine=vllm: vLLM ended with status 3 while it loaded nowhere: ValueError: No supported config format "
        "found in nowhere (/engine.log has the rest)"
    )
    monkeypatch.setenv("STAND_IN", "hangs")
    message = refusal(tmp_path, VLLMSettings(gpus=1, start_s=1.0))
    assert message == "engine=vllm: vLLM was not ready with nowhere after 1 s; /engine.log has its output"
    assert ended(read(calls)[-1][0])
    few = refusal(tmp_path, VLLMSettings(gpus=0))
    assert few.startswith("tensor_parallel: 1 GPUs are wanted and 0 seen; give server=URL, or engine=hf")
    monkeypatch.setenv("PATH", "/nowhere")
    assert refusal(tmp_path).startswith("engine=vllm: there is no vllm on the PATH; pip install")


def test_it_dies_with_the_command(calls: Path, tmp_path: Path):
    """Also where that is killed, and can't clear up."""
    program = (
        "import asyncio, pathlib\n"
        "from recipe.zppo.evaluate.engines.vllm import VLLMSettings, vllm_engine\n"
        "async def main():\n"
        f"    async with vllm_engine('m', VLLMSettings(gpus=1), pathlib.Path({str(tmp_path / 'log')!r})):\n"
        "        print('ready', flush=True)\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as command:
        assert command.stdout is not None and command.stdout.readline() == b"ready\n"
        (call,) = read(calls)
        assert started_at(call[0]) is not None
        command.send_signal(signal.SIGKILL)
    assert ended(call[0])
