"""Each optimiser in verl's engine on two ranks: sharded, saved and resumed exactly, exported; against one tensor."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from transformers import AutoModelForCausalLM
from verl.workers.config.optimizer import build_optimizer

from recipe.zppo.export.__main__ import main
from recipe.zppo.on_verl.export import export_hf_model
from recipe.zppo.run.checkpoint_files import COMPLETE_FILE
from tests import warm
from tests.composed import compose
from tests.tiny_models import make_qwen3, make_tokenizer

NAMES = (
    "anyprecision",
    "fp32",
    pytest.param(
        "stochastic", marks=pytest.mark.skipif(find_spec("torchao") is None, reason="torchao: the extra gpu has it")
    ),
)
DTYPE = {"anyprecision": torch.bfloat16, "stochastic": torch.bfloat16, "fp32": torch.float32}
STATE = {
    "anyprecision": {"exp_avg", "exp_avg_sq", "kahan_comp"},
    "stochastic": {"step", "exp_avg", "exp_avg_sq"},
    "fp32": {"step", "exp_avg", "exp_avg_sq"},
}


@pytest.fixture(scope="module", params=NAMES)
def ran(request, tmp_path_factory) -> tuple[str, Path, list[dict]]:
    """Name, the folder that the ranks left, and what each of them saw."""
    folder = tmp_path_factory.mktemp(request.param)
    tokenizer = make_tokenizer()
    make_qwen3(len(tokenizer), tie_word_embeddings=True, num_hidden_layers=2).save_pretrained(folder / "student")
    tokenizer.save_pretrained(folder / "student")
    script = str(Path(__file__).with_name("optimizer_ranks.py"))
    done = warm.run(script, request.param, folder, folder=folder, timeout=240, VERL_PLATFORM="cpu")
    assert done.returncode == 0, done.stderr[-3000:]
    return request.param, folder, [torch.load(folder / f"seen_{i}.pt", weights_only=False) for i in range(2)]


def same(one: dict, other: dict) -> bool:
    def flat(seen: dict) -> dict:
        state = {(name, key): value for name, part in seen["state"].items() for key, value in part.items()}
        return seen["weights"] | state

    a, b = flat(one), flat(other)
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a)


def test_weights_and_state_are_of_the_type_that_the_name_says(ran) -> None:
    name, _, (seen, _) = ran
    assert {weight.dtype for weight in seen["saved"]["weights"].values()} == {DTYPE[name]}
    for state in seen["saved"]["state"].values():
        assert state.keys() == STATE[name]
        assert {value.dtype for key, value in state.items() if key != "step"} == {DTYPE[name]}


def test_a_checkpoint_brings_everything_back_and_training_goes_on_alike(ran) -> None:
    _, _, ranks = ran
    for seen in ranks:
        assert same(seen["saved"], seen["loaded"])
        assert same(seen["on"], seen["resumed"])
        assert not same(seen["saved"], seen["on"])


def test_servers_and_the_export_get_the_weights_as_they_are(ran) -> None:
    _, folder, (seen, _) = ran
    assert seen["sent"].keys() >= seen["saved"]["weights"].keys()
    for key, weight in seen["saved"]["weights"].items():
        assert torch.equal(weight.float(), seen["sent"][key].float()), key
    run = folder / "run"
    checkpoint = run / "global_step_1"
    checkpoint.mkdir(parents=True)
    (checkpoint / "actor").symlink_to(folder / "checkpoint")
    (checkpoint / COMPLETE_FILE).touch()
    exported = AutoModelForCausalLM.from_pretrained(export_hf_model(str(run), "fsdp2"), dtype=torch.bfloat16)
    for key, weight in exported.named_parameters():
        assert torch.equal(weight, seen["saved"]["weights"][key].bfloat16()), key
    assert main([str(run), "--dtype", "float32"]) == 0
    for key, weight in AutoModelForCausalLM.from_pretrained(run / "export/step_1").named_parameters():
        assert torch.equal(weight, seen["saved"]["weights"][key].float()), key


def test_shards_move_as_a_whole_tensor_does(ran) -> None:
    """Clipping, learning rate and weight decay included; rounding by chance apart."""
    name, _, (seen, _) = ran
    if name == "stochastic":
        moved = torch.cat([(seen["saved"]["weights"][k] - start).flatten() for k, start in seen["start"].items()])
        assert 0 < (moved != 0).float().mean() < 0.1  # five updates of a hundredth of a bf16 step each
        return
    optim = compose(["platform=cpu", f"zppo.optimizer={name}"]).actor_rollout_ref.actor.optim
    weights = {key: torch.nn.Parameter(value.clone()) for key, value in seen["start"].items()}
    optimizer = build_optimizer(list(weights.values()), DictConfig(OmegaConf.to_container(optim, resolve=True)))
    for update, norm in enumerate(seen["norms"]):
        assert norm > 1.0  # clipped
        for number, weight in enumerate(weights.values()):
            generator = torch.Generator().manual_seed(1000 * update + number)
            weight.grad = (0.01 * torch.randn(weight.shape, generator=generator)).to(weight.dtype)
        torch.nn.utils.clip_grad_norm_(weights.values(), 1.0)
        optimizer.step()
    for key, weight in weights.items():
        state, want = optimizer.state[weight], seen["saved"]["state"][key]
        for part in ("exp_avg", "exp_avg_sq"):
            torch.testing.assert_close(want[part], state[part], rtol=2e-2, atol=1e-9)
        torch.testing.assert_close(seen["saved"]["weights"][key], weight.detach(), rtol=2**-7, atol=1e-6)
