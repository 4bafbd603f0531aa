"""Hints that the teacher writes, and its scores, on a teacher that answers what the test says."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from recipe.zppo.candidates import Draft
from recipe.zppo.config_validation import validate_zppo
from recipe.zppo.fair_queue import Work
from recipe.zppo.prompts import hint_request_messages
from recipe.zppo.teacher_client import TeacherClient, scored_tokens

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
        async def run(self, request, work, cost):
            assert (work, cost) == (Work.SCORE, 3)
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
