"""Hints that the teacher writes, and its scores, on a teacher that answers what the test says."""

import asyncio
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from recipe.zppo.candidates import Draft
from recipe.zppo.config.compose import compose
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.on_verl.dataset import ZPPODataset
from recipe.zppo.prompts import hint_request_messages
from recipe.zppo.teacher.client import QUESTION_TEXT, TeacherClient, make_gate, scored_tokens
from recipe.zppo.teacher.slots import Work

DATA = {"reward_model": {"ground_truth": "42"}}
DRAFT = Draft("6 * 7 = 42 \\boxed{42} <|im_end|>", "teacher", 0, True)


CONFIG = {
    "teacher": {"path": "teacher", "nnodes": 1, "response_length": 8, "inference": {}},
    "compression": {"max_tokens": 17},
    "reformulation": {"bcq": False, "ncq": False, "hint": True},
}


class Teacher(TeacherClient):
    """Answers ``reply``, or raises it, and keeps what it was asked."""

    def __init__(self, tokenizer, reply, **zppo):
        worker = SimpleNamespace(tokenizer=tokenizer, processor=None, model_config=None)
        super().__init__(worker, None, validate_zppo(CONFIG | zppo))
        self.client, self.reply, self.asked = object(), reply, []

    async def _generate(self, messages, seed, max_tokens, work):
        assert work is Work.SUMMARY
        self.asked.append((messages, seed, max_tokens))
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply, 5


def hint(tokenizer, reply):
    teacher = Teacher(tokenizer, reply)
    return asyncio.run(teacher.write_hint(DATA, DRAFT, seed=3)), teacher


def test_a_hint_is_asked_for_as_the_paper_does(tokenizer):
    written, teacher = hint(tokenizer, "  multiply \n")
    assert (written.text, written.problem) == ("multiply", "")
    ((messages, seed, max_tokens),) = teacher.asked
    assert messages == hint_request_messages(DRAFT.text, special_tokens=tokenizer.all_special_tokens)
    assert "<|im_end|>" not in messages[0]["content"]
    assert (seed, max_tokens) == (3, 17)


@pytest.mark.parametrize(
    ("reply", "text", "problem"),
    [
        ("it is 42", "it is 42", "leak"),
        ("see \\boxed{1}", "see \\boxed{1}", "leak"),
        ("<think>it is 42, say less</think> multiply", "multiply", ""),
        ("multiply</hint><|im_end|>", "multiply", ""),
        ("", "", "failed"),
        ("<think>hm</think>", "", "failed"),
        (RuntimeError("dead"), "", "failed"),
    ],
)
def test_a_hint_is_safe_and_free_of_the_answer_or_has_a_problem(tokenizer, reply, text, problem):
    written, _ = hint(tokenizer, reply)
    assert (written.text, written.problem) == (text, problem)


def test_a_hint_that_was_cut_off_is_none(tokenizer):
    """It may be what a model thinks that can't but think, whatever its template is told."""
    teacher = Teacher(tokenizer, "so the user wants a hint, and", compression={"max_tokens": 5})
    assert asyncio.run(teacher.write_hint(DATA, DRAFT, seed=3)).problem == "failed"


def test_without_a_teacher_there_is_no_hint(tokenizer):
    teacher = Teacher(tokenizer, "x")
    teacher.client = None
    assert asyncio.run(teacher.write_hint(DATA, DRAFT, seed=3)).problem == "failed"


@pytest.mark.parametrize(("topk", "wanted"), [(None, 100), (4, 4), (1000, 100)])
def test_scores_are_asked_for_a_whole_sequence(tokenizer, topk, wanted):
    model = SimpleNamespace(get_text_config=lambda: SimpleNamespace(vocab_size=100))
    off = {"reformulation": {"enable": False}, "distillation": {"mode": "on_policy", "topk": topk}}
    teacher = Teacher(tokenizer, "x", **off)
    assert scored_tokens(teacher.config, model) == wanted
    teacher.worker.model_config = SimpleNamespace(hf_config=model)
    requests = []

    class Client:
        async def generate(self, request_id, **request):
            requests.append(request)
            scores = np.full((3, wanted), -1.0, dtype=np.float32)
            return SimpleNamespace(extra_fields={"prompt_ids": scores.astype(int), "prompt_logprobs": scores})

    class Gate:
        async def run(self, request, work):
            assert work is Work.SCORE
            return await request()

    teacher.client, teacher.gate = Client(), Gate()
    output = SimpleNamespace(multi_modal_data={"images": ["i"]}, mm_processor_kwargs={}, mm_processor_output=None)
    ids, log_probs = asyncio.run(teacher.score([1, 2, 3], output))
    assert ids.shape == log_probs.shape == (3, wanted)
    assert (ids.dtype, log_probs.dtype) == (torch.int32, torch.float32)
    (request,) = requests
    assert request["prompt_ids"] == [1, 2, 3] and request["image_data"] == ["i"]
    assert request["sampling_params"]["prompt_logprobs"] == wanted
    assert request["sampling_params"]["max_tokens"] == 1


def own_teacher(tokenizer, replies, *overrides):
    """The client of servers of our own, on the real agent loop; the server gives ``replies`` and keeps requests."""
    from verl.workers.rollout.replica import TokenOutput

    from recipe.zppo.on_verl.worker import ZPPOAgentLoopWorker

    config = compose(["platform=cpu", "zppo.teacher.path=t", "zppo.judge.enable=true", *overrides])
    requests = []

    class Server:
        async def generate(self, request_id, **request):
            requests.append(request)
            return TokenOutput(token_ids=tokenizer.encode(next(replies), add_special_tokens=False))

    worker = SimpleNamespace(tokenizer=tokenizer, processor=None, seeded=True, config=config, tools=[])
    worker.dataset_cls = ZPPODataset
    worker.build_loop = partial(ZPPOAgentLoopWorker.build_loop, worker)
    teacher = TeacherClient(worker, None, validate_zppo(config.zppo))
    teacher.client, teacher.max_model_len = Server(), 24_576
    teacher.gate = make_gate(teacher.config, 1, probe=None)
    return teacher, requests


def test_the_judge_on_servers_of_our_own(tokenizer):
    """Greedy, 512 tokens, without thinking; compression has the teacher's sampling, and no thoughts either."""
    template = tokenizer.chat_template
    tokenizer.chat_template = template + "{% if not enable_thinking %}{{ 'no' }}{% endif %}"
    try:
        teacher, requests = own_teacher(tokenizer, iter(["a", "b", "c"]))
        row = {"row": 1, QUESTION_TEXT: "1+1=?", "reward_model": {"ground_truth": "2"}}
        judgement = asyncio.run(teacher.judge(row, "\\boxed{2}"))
        assert (judgement.verdict, judgement.num_tokens) == ("malformed", 1)
        asyncio.run(teacher.compress(DRAFT, 3, True))
        thinking, more = own_teacher(tokenizer, iter(["c"]), "zppo.judge.thinking=true", "zppo.judge.max_tokens=600")
        asyncio.run(thinking.judge(row, "\\boxed{2}"))
    finally:
        tokenizer.chat_template = template
    verdict, summary = requests
    assert (
        verdict["sampling_params"].items() >= {"temperature": 0.0, "top_p": 1.0, "top_k": -1, "max_tokens": 512}.items()
    )
    assert summary["sampling_params"].items() >= {"temperature": 1.0, "max_tokens": 512}.items()
    shown = tokenizer.encode("no", add_special_tokens=False)
    ends = [request["prompt_ids"][-len(shown) :] == shown for request in (verdict, summary, *more)]
    assert ends == [True, True, False]
    assert more[0]["sampling_params"]["max_tokens"] == 600
