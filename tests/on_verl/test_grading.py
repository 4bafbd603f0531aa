"""Grades of the student's and of others' texts, by verl's own agent-loop worker and reward workers, without Ray."""

import asyncio
import json
import pickle

import pytest
from ray.exceptions import ActorDiedError, RayTaskError
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput, AgentLoopWorker
from verl.experimental.reward_loop.reward_loop import RewardLoopWorker

from recipe.zppo.benchmarks.contract import Question
from recipe.zppo.benchmarks.registry import BENCHMARKS
from recipe.zppo.benchmarks.validation_rows import row_of
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.errors import RewardFunctionError
from recipe.zppo.judge import with_question
from recipe.zppo.on_verl.borrowed import get_custom_reward_fn
from recipe.zppo.on_verl.grading import GradingMixin
from recipe.zppo.on_verl.guards.reward_workers import RewardWorkers
from recipe.zppo.on_verl.text_rewards import ResponseText, use_text_rewards
from recipe.zppo.reward import use_grader
from recipe.zppo.teacher.client import TeacherClient
from recipe.zppo.teacher.generate import Reply
from tests.composed import compose

FUNCTION = """
import json
def keep(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    with open({path!r}, "a") as file:
        print(json.dumps([data_source, solution_str, ground_truth, sorted(extra_info), kwargs]), file=file)
    return {{"score": float(solution_str), "answer": "mine"}}
"""
MANAGER = """
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager
class Curious(NaiveRewardManager):
    async def run_single(self, data):
        result = await super().run_single(data)
        prompt, raw = (self.tokenizer.decode(data.batch[name][0]) for name in ("prompts", "responses"))
        result["reward_extra_info"] |= {"prompt": prompt, "raw": raw, "end": self.tokenizer.eos_token}
        return result
"""
ROW = {
    "row": 7,
    "prompt_id": "q7",
    "data_source": "sums",
    "reward_model": {"ground_truth": "1"},
    "extra_info": {"level": 3},
    "raw_prompt": [{"role": "user", "content": "1 ?"}],
}


class Handle:
    """Of a reward worker in this process, which ``dies`` when it is first asked."""

    def __init__(self, config, dies=False):
        self.compute_score, self._worker = self, None if dies else RewardLoopWorker(config)

    async def remote(self, data):
        if self._worker is None:
            raise ActorDiedError()
        try:
            return await self._worker.compute_score(pickle.loads(pickle.dumps(data)))
        except Exception as error:
            raise RayTaskError("compute_score", "", error).as_instanceof_cause() from error


class Worker(GradingMixin, AgentLoopWorker):
    """verl's worker with our grading, and reward workers of which one dies."""

    def __init__(self, config):
        use_text_rewards(config)
        super().__init__(config, None, None, [RewardWorkers([Handle(config, dies=True), Handle(config)])])
        self.zppo, self.teacher = validate_zppo(config.zppo), None


@pytest.fixture
def graded(tmp_path, qwen3_path):
    """Grades by a function that keeps its arguments: the results, and the arguments."""

    def grade(what, *overrides):
        path = tmp_path / "calls.jsonl"
        (tmp_path / "reward.py").write_text(FUNCTION.format(path=str(path)))
        (tmp_path / "manager.py").write_text(MANAGER)
        config = compose(
            [
                *("platform=cpu", f"actor_rollout_ref.model.path={qwen3_path}", f"zppo.teacher.path={qwen3_path}"),
                f"reward.custom_reward_function.path={tmp_path}/reward.py",
                *("reward.custom_reward_function.name=keep", "+reward.custom_reward_function.reward_kwargs.more=2"),
                *(override.format(tmp_path=tmp_path) for override in overrides),
            ]
        )

        async def inside():
            return await what(Worker(config))

        result = asyncio.run(inside())
        return result, [json.loads(line) for line in path.read_text().splitlines()]

    return grade


@pytest.mark.parametrize("manager", ["naive", "dapo", "rate_limited"])
def test_a_text_of_somebody_else_is_graded_as_it_is(graded, manager):
    """The tokenizer knows neither of these characters; white space, which it drops, and a zero character count."""
    text = " 1\n"
    (reward, answer, judgement), calls = graded(
        lambda worker: worker.grade(dict(ROW), text), f"reward.reward_manager.name={manager}"
    )
    assert (reward, answer, judgement) == (1.0, "mine", None)
    added = ["num_turns", "rollout_reward_scores"] if manager == "naive" else []
    assert calls == [["sums", text, "1", ["level", *added], {"more": 2}]]


def test_special_tokens_that_a_teacher_spells_out_stay(graded):
    with pytest.raises(RewardFunctionError, match=r"row 7 \(prompt_id 'q7'\).*'1<\|im_end\|>\\x00'"):
        graded(lambda worker: worker.grade(dict(ROW), "1<|im_end|>\0"))


def score(worker, text):
    ids = [*worker.tokenizer.encode(text, add_special_tokens=False), worker.tokenizer.eos_token_id]
    output = AgentLoopOutput(prompt_ids=[5], response_ids=ids, response_mask=[1] * len(ids), metrics={})
    response = ResponseText(worker.tokenizer.decode(ids, skip_special_tokens=True), of_tokens=True)

    async def scored():
        await worker._score([output], dict(ROW), response, validate=False)
        return output

    return scored()


def test_what_was_graded_before_is_not_graded_again(graded, tmp_path):
    (tmp_path / "calls.jsonl").touch()

    async def taken_over(worker):
        output = AgentLoopOutput(prompt_ids=[5], response_ids=[5], response_mask=[1], metrics={})
        worker._take_over(output, "7")
        await worker._compute_score([output], kwargs=dict(ROW))  # as verl does with every output
        return output

    output, calls = graded(taken_over)
    assert (output.reward_score, calls) == (1.0, [])
    assert output.extra_fields["reward_extra_info"] == {"answer": "7", "doubtful": 0.0, "score": 1.0, "acc": 1.0}


def test_points_become_an_outcome_and_held_out_accuracy(graded):
    output, _ = graded(lambda worker: score(worker, "3"), "zppo.reward.binarize='>=2'")
    assert output.reward_score == 1.0
    assert output.extra_fields["reward_extra_info"] == {"score": 3.0, "answer": "mine", "acc": 1.0}


@pytest.mark.parametrize("manager", ["naive", "dapo"])
def test_the_student_is_graded_by_what_its_tokens_say(graded, manager):
    output, calls = graded(lambda worker: score(worker, "1"), f"reward.reward_manager.name={manager}")
    assert output.reward_score == 1.0
    assert output.extra_fields["reward_extra_info"] == {"score": 1.0, "answer": "mine", "acc": 1.0}
    assert [call[1] for call in calls] == ["1"]
    assert output.prompt_ids == [5] and output.metrics.compute_score > 0


def test_a_reward_manager_of_ones_own_reads_prompts_and_raw_responses(graded):
    own = ["reward.reward_manager.source=importlib", "reward.reward_manager.name=Curious"]
    own.append("reward.reward_manager.module.path={tmp_path}/manager.py")
    output, _ = graded(lambda worker: score(worker, "1"), *own)
    info = output.extra_fields["reward_extra_info"]
    assert (info["prompt"], info["raw"], info["end"]) == ("<|vision_end|>", "1 <|im_end|>", "<|im_end|>")


class Judge:
    """A teacher's model that calls everything correct, and keeps what it was asked."""

    special_tokens = ()

    def __init__(self):
        self.asked = []

    async def __call__(self, messages, seed, max_tokens, work):
        self.asked.append(messages[0]["content"])
        return Reply('{"verdict": "correct"}', 3)


FREE, RULE = {"answer_type": "free_form"}, {"level": 3}


@pytest.mark.parametrize(
    ("extra", "route", "validate", "text", "by_rule", "judged"),
    [
        (RULE, "free_form", False, "0", True, False),
        (FREE, "free_form", False, "1", False, True),
        (FREE, "free_form", True, "1", True, False),
        (FREE, "free_form", True, "0", True, True),
        (RULE, "free_form", True, "0", True, False),
        (RULE, "unresolved", False, "1", True, False),
        (RULE, "unresolved", False, "0", True, True),
        (FREE, "unresolved", False, "1", True, False),
        (RULE, "unresolved", True, "0", True, True),
    ],
)
def test_the_reward_function_and_the_judge_take_turns(graded, tmp_path, extra, route, validate, text, by_rule, judged):
    model = Judge()
    (tmp_path / "calls.jsonl").touch()

    async def scored(worker):
        worker.teacher = TeacherClient(worker, model, worker.zppo)
        output = AgentLoopOutput(prompt_ids=[5], response_ids=[5], response_mask=[1], metrics={})
        row, response = ROW | {"extra_info": extra}, ResponseText(text, of_tokens=True)
        return await worker._score([output], with_question(row), response, validate), output

    keys = ("enable=true", f"route={route}", f"validation_route={route}")
    (judgement, output), calls = graded(scored, *(f"zppo.judge.{key}" for key in keys))
    assert (bool(calls), judgement is not None, len(model.asked)) == (by_rule, judged, judged)
    assert output.reward_score == (1.0 if judged else float(text))
    info = output.extra_fields["reward_extra_info"]
    assert info["score"] == output.reward_score
    assert info["answer"] == ("mine" if by_rule else "")  # what the reward function said stays
    assert info.get("judged") == (float(judged) if validate else None)
    if judged:
        assert "<question>\n1 ?\n</question>" in model.asked[0] and f"<response>\n{text}\n" in model.asked[0]


@pytest.mark.parametrize(
    ("text", "judge", "expected"),
    [
        ("So \\boxed{7}", "true", {"score": 1.0, "acc": 1.0, "answer": "7", "judged": 0.0, "judge_malformed": 0.0}),
        ("seven", "true", {"score": 1.0, "acc": 1.0, "answer": "seven", "judged": 1.0, "judge_malformed": 0.0}),
        ("seven", "false", {"score": 0.0, "acc": 0.0, "answer": "seven"}),
    ],
)
def test_a_question_of_a_benchmark_is_scored_by_its_definition(graded, tmp_path, text, judge, expected):
    (tmp_path / "calls.jsonl").touch()
    question = Question("I-1", ROW["raw_prompt"], "7")
    model = Judge()

    async def scored(worker):
        worker.teacher = TeacherClient(worker, model, worker.zppo)
        output = AgentLoopOutput(prompt_ids=[5], response_ids=[5], response_mask=[1], metrics={})
        row = ROW | row_of(BENCHMARKS["AIME25"], question)
        assert await worker._score([output], row, ResponseText(text, of_tokens=True), validate=True) is None
        return output

    output, calls = graded(scored, f"zppo.judge.enable={judge}")
    assert (output.reward_score, output.extra_fields["reward_extra_info"], calls) == (expected["acc"], expected, [])
    assert all("<reference>\n7\n</reference>" in asked and "1 ?" in asked for asked in model.asked)
    assert len(model.asked) == expected.get("judged", 0)


@pytest.mark.parametrize(
    ("text", "message"), [("2", "gave 2.0 for row 7"), ("x", "the reward function failed on row 7")]
)
def test_what_is_no_reward_names_its_row(graded, text, message):
    with pytest.raises(RewardFunctionError, match=message):
        graded(lambda worker: worker.grade(dict(ROW), text))


@pytest.mark.parametrize(("manager", "grader"), [("naive", "careful"), ("dapo", "careful"), ("naive", "paper")])
def test_reward_workers_grade_by_the_grader_of_the_config(qwen3_path, manager, grader):
    """Theirs is another process: what this one was told before does not count."""
    config = compose(
        [
            *("platform=cpu", f"actor_rollout_ref.model.path={qwen3_path}", f"zppo.teacher.path={qwen3_path}"),
            *(f"reward.reward_manager.name={manager}", f"zppo.reward.grader={grader}"),
        ]
    )
    use_grader("paper" if grader == "careful" else "careful")
    row = dict(ROW) | {"reward_model": {"ground_truth": "x^2"}}

    async def graded():
        return await Worker(config).grade(row, "\\boxed{x²}")

    reward = asyncio.run(graded()).reward
    assert reward == float(grader == "careful")
    use_grader("careful" if grader == "paper" else "paper")
    told = get_custom_reward_fn(config)  # as verl's remote manager sends it to its own processes
    assert told("sums", "\\boxed{x²}", "x^2")["score"] == float(grader == "careful")
