"""One vLLM engine with a tiny Qwen3.5, fed and read as verl's server does it, and the trainer's model beside it.

Not a test: tests/cpu/test_vllm_qwen3_5.py is, and tests/e2e/test_train_vllm.py has models of this shape.
"""

import asyncio
import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from recipe.zppo.media import parts as media
from tests.media.pictures import picture

# vLLM's kernels for linear attention on the CPU: bfloat16 only, states in float32, heads as large as the real ones.
ON_VLLM: dict[str, Any] = dict(
    head_dim=32,
    linear_key_head_dim=128,
    linear_value_head_dim=128,
    linear_num_key_heads=1,
    linear_num_value_heads=2,
    mamba_ssm_dtype="float32",
    # vLLM takes a quarter for Qwen3.5, whatever `rope_parameters` says, as all published models have it.
    rope_parameters=dict(
        rope_type="default",
        rope_theta=10000.0,
        partial_rotary_factor=0.25,
        mrope_section=[2, 1, 1],
        mrope_interleaved=True,
    ),
)

QUESTIONS = {
    "text": ("1+1=? Say it.", []),
    "image": ("<image>how many bars?", [picture(1)]),
    "two images": ("see <image> and <image>: same?", [picture(2, (32, 64)), picture(3, (50, 20))]),
}
TOKENS = 16
ENVIRONMENT = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_ALLOW_INSECURE_SERIALIZATION": "1",  # functions of this file are run in the worker
    "VERL_RAY_JOB_ID": f"check{os.getpid()}",
    "VERL_REPLICA_RANK": "0",
    "TORCHDYNAMO_DISABLE": "1",
}
SETTINGS: dict[str, Any] = dict(
    worker_extension_cls="recipe.cpu.vllm_worker.CpuWorkerExtension",
    enforce_eager=True,
    max_model_len=512,
    max_num_batched_tokens=512,
    max_num_seqs=8,
    kv_cache_memory_bytes=2**26,
    logprobs_mode="processed_logprobs",
    disable_log_stats=True,
)
SOCKET = f"ipc:///tmp/rl-colocate-zmq-check{os.getpid()}-replica-0-rank-0.sock"


@dataclass
class Answer:
    """Of a question: all ids, where the answer begins, vLLM's log-probs of it, and the vision tower's inputs."""

    ids: list[int]
    begin: int
    log_probs: torch.Tensor
    features: dict[str, torch.Tensor]


class Engine:
    """vLLM as verl's server starts it (worker extension, masked placeholders), without Ray and HTTP."""

    def __init__(self, path: Path, **settings: Any):
        os.environ.update(ENVIRONMENT)
        from verl.utils import hf_processor, hf_tokenizer
        from verl.workers.rollout.utils import get_vision_placeholder_token_ids
        from vllm import LLM

        self.processor, self.tokenizer = hf_processor(str(path)), hf_tokenizer(str(path))
        self.banned = get_vision_placeholder_token_ids(self.processor)
        self.llm = LLM(**SETTINGS | {"model": str(path), "dtype": "bfloat16"} | settings)
        self.llm.collective_rpc(
            "monkey_patch_model", kwargs={"vocab_size": len(self.tokenizer), "banned_token_ids": self.banned}
        )

    def answers(self) -> dict[str, Answer]:
        """Of all questions in one batch, with a seed of each one's own."""
        from vllm import SamplingParams

        asked = [self._question(*question) for question in QUESTIONS.values()]
        params = [
            SamplingParams(max_tokens=TOKENS, temperature=1.0, seed=i, logprobs=0, ignore_eos=True)
            for i in range(len(asked))
        ]
        outputs = self.llm.generate([prompt for prompt, _ in asked], params, use_tqdm=False)
        result = {}
        for name, (_, inputs), output in zip(QUESTIONS, asked, outputs, strict=True):
            prompt = list(output.prompt_token_ids)
            assert prompt == inputs["input_ids"][0].tolist()  # as many tokens an image
            (sequence,) = output.outputs
            ids = list(sequence.token_ids)
            log_probs = [place[token].logprob for place, token in zip(sequence.logprobs, ids, strict=True)]
            features = {name: inputs[name] for name in ("pixel_values", "image_grid_thw") if name in inputs}
            result[name] = Answer([*prompt, *ids], len(prompt), torch.tensor(log_probs), features)
        return result

    def _question(self, text: str, images: list[Any]) -> tuple[Any, Any]:
        """The prompt as vLLM takes it, one token an image, and as the trainer's model does."""
        from vllm.inputs import TokensPrompt

        messages = media.place([{"role": "user", "content": text}], images, [])
        images, _ = media.extract(messages, self.processor.image_processor.patch_size)
        chat = self.processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        prompt = TokensPrompt(prompt_token_ids=self.tokenizer.encode(chat, add_special_tokens=False))
        if images:
            prompt["multi_modal_data"] = {"image": images}
        return prompt, self.processor(text=[chat], images=images or None, return_tensors="pt")

    def sync(self, weights: dict[str, torch.Tensor]) -> None:
        sync(self.llm, weights)

    def digests(self) -> dict[str, str]:
        """Of each weight in the worker."""
        return self.llm.collective_rpc(_digests)[0]

    def stop(self) -> None:
        self.llm.llm_engine.engine_core.shutdown()


def sync(llm: Any, weights: dict[str, torch.Tensor], **adapter: Any) -> None:
    """Through verl's sender and receiver (shared memory, buckets of 1 MiB), and then what verl resets."""
    from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightSender

    sender = BucketedWeightSender(SOCKET, bucket_size_mb=1, use_shm=True)
    thread = threading.Thread(target=lambda: asyncio.run(sender.async_send_weights(iter(weights.items()))), daemon=True)
    thread.start()
    llm.collective_rpc("update_weights_from_ipc", timeout=120, kwargs={"use_shm": True, **adapter})
    thread.join(60)
    assert not thread.is_alive()
    llm.reset_prefix_cache()
    llm.reset_mm_cache()
    llm.llm_engine.reset_encoder_cache()


def _digests(worker: Any) -> dict[str, str]:
    result = {}
    for name, weight in worker.model_runner.model.named_parameters():
        data = weight.detach().reshape(-1).view(torch.uint8).numpy().tobytes()
        result[name] = hashlib.sha256(repr(tuple(weight.shape)).encode() + data).hexdigest()
    return result


def trainers(model: Any, answer: Answer, banned: list[int]) -> torch.Tensor:
    """The log-probs that the trainer's model gives the answer; placeholders are masked, as verl masks them in vLLM."""
    ids = torch.tensor([answer.ids])
    types = (ids == model.config.image_token_id).long()
    with torch.no_grad():
        logits = model(
            input_ids=ids, attention_mask=torch.ones_like(ids), mm_token_type_ids=types, **answer.features
        ).logits[0, answer.begin - 1 : -1]
    logits = logits.float()
    logits[:, banned] = -torch.inf
    return torch.log_softmax(logits, -1).gather(-1, ids[0, answer.begin :, None])[:, 0]
