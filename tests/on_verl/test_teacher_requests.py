"""What a teacher on verl's servers is asked: replies through the real agent loop, and scores."""

import asyncio

import numpy as np
import pytest
import torch
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.utils.config import omega_conf_to_dataclass
from verl.workers.rollout.replica import TokenOutput

from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.errors import ConfigError
from recipe.zppo.on_verl.dataset import ZPPODataset
from recipe.zppo.on_verl.teacher_requests import TeacherServers
from recipe.zppo.teacher.slots import Work
from tests.composed import compose


class Server:
    """Says ``no`` to everything, scores evenly, and keeps the requests."""

    def __init__(self, tokenizer):
        self.no, self.requests = tokenizer.encode("no", add_special_tokens=False), []

    async def generate(self, request_id, **request):
        self.requests.append(request)
        width = request["sampling_params"].get("prompt_logprobs", 0)
        scores = np.full((len(request["prompt_ids"]), width), -1.0, dtype=np.float32)
        extra = {"prompt_ids": scores.astype(int), "prompt_logprobs": scores}
        return TokenOutput(token_ids=self.no, extra_fields=extra)


def teacher_at(path, server, *overrides):
    model = f"actor_rollout_ref.model.path={path}"
    config = compose(["platform=cpu", model, f"zppo.teacher.path={path}", *overrides])
    return TeacherServers(
        server,
        str(path),
        config,
        validate_zppo(config.zppo),
        model=omega_conf_to_dataclass(config.actor_rollout_ref.model),
        dataset_cls=ZPPODataset,
        tools={},
    )


@pytest.mark.parametrize(("topk", "wanted"), [(None, None), (4, 4), (1000, None)])
def test_scores_are_asked_for_a_whole_sequence(tokenizer, qwen3_path, topk, wanted):
    server, wanted = Server(tokenizer), wanted or len(tokenizer)
    mode = [
        "zppo.reformulation.enable=false",
        "zppo.distillation.mode=on_policy",
        f"zppo.distillation.topk={topk or 'null'}",
    ]
    teacher = teacher_at(qwen3_path, server, *mode)
    shown = {"multi_modal_data": {"images": ["i"]}, "mm_processor_kwargs": {}}
    output = AgentLoopOutput(prompt_ids=[1, 2], response_ids=[3], response_mask=[1], metrics={}, **shown)
    ids, log_probs = asyncio.run(teacher.score([1, 2, 3], output))
    assert ids.shape == log_probs.shape == (3, wanted)
    assert (ids.dtype, log_probs.dtype) == (torch.int32, torch.float32)
    (request,) = server.requests
    assert request["prompt_ids"] == [1, 2, 3] and request["image_data"] == ["i"]
    assert request["sampling_params"]["prompt_logprobs"] == wanted
    assert request["sampling_params"]["max_tokens"] == 1


def test_each_work_has_its_sampling_and_its_template(tokenizer, qwen3_path, tmp_path):
    """Verdicts are greedy, summaries sampled as rollouts are; neither is thought about unless that is asked for."""
    copy = type(tokenizer).from_pretrained(qwen3_path)
    copy.chat_template += "{% if enable_thinking is defined and not enable_thinking %}{{ 'no' }}{% endif %}"
    for file in qwen3_path.iterdir():
        (tmp_path / file.name).symlink_to(file)
    for file in ("tokenizer_config.json", "chat_template.jinja", "tokenizer.json", "special_tokens_map.json"):
        (tmp_path / file).unlink(missing_ok=True)
    copy.save_pretrained(tmp_path)
    server = Server(tokenizer)

    def ask(work, *overrides):
        teacher = teacher_at(tmp_path, server, "actor_rollout_ref.rollout.full_determinism=true", *overrides)
        reply = asyncio.run(teacher([{"role": "user", "content": "1+1=?"}], 5, 17, work))
        assert reply == (tokenizer.decode(server.no), 2)
        request = server.requests[-1]
        return request["sampling_params"], request["prompt_ids"][-len(server.no) :] == server.no

    greedy = {"temperature": 0.0, "top_p": 1.0, "top_k": -1, "max_tokens": 17, "seed": 5}
    sampled = greedy | {"temperature": 1.0}
    for work, expected in ((Work.VERDICT, greedy), (Work.SUMMARY, sampled)):
        sampling, without_thoughts = ask(work)
        assert sampling.items() >= expected.items() and without_thoughts
    assert not ask(Work.VERDICT, "zppo.judge.thinking=true")[1]
    assert not ask(Work.ROLLOUT)[1]


def test_a_teacher_without_eyes_is_not_shown_images(tokenizer, qwen3_path):
    teacher = teacher_at(qwen3_path, Server(tokenizer))
    with pytest.raises(ConfigError, match="no processor for them"):
        teacher.opened([{"role": "user", "content": [{"type": "image", "image": "a.png"}]}])
