"""How the agent-loop worker grades: by the reward function, which runs in verl's reward workers, or by the judge."""

from typing import Any

import ray
from omegaconf import DictConfig
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput

from recipe.zppo.benchmarks.contract import Benchmark, Question
from recipe.zppo.benchmarks.validation_rows import asked, grade
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import RewardFunctionError, one_line
from recipe.zppo.judge import Grade, Judgement, Verdict, graders
from recipe.zppo.media import parts as media
from recipe.zppo.on_verl.text_rewards import TEXT, ResponseText, reads_text_alone
from recipe.zppo.reward import extract_answer
from recipe.zppo.teacher.client import TeacherClient


def answer_read(output: AgentLoopOutput, text: str) -> str:
    """The answer in a graded response: what the reward function says that it has read, else by the run's format."""
    said = output.extra_fields.get("reward_extra_info", {}).get("answer")
    return extract_answer(text) or "" if said is None else said


class GradingMixin:
    """Part of `ZPPOAgentLoopWorker`, before verl's class."""

    config: DictConfig
    zppo: ZPPOConfig
    tokenizer: Any
    teacher: TeacherClient
    """The judge."""

    async def grade(self, data: dict[str, Any], text: str) -> Grade:
        """The student's reward for a text of somebody else, as it is; there are no tokens of it."""
        end = [self.tokenizer.eos_token_id]
        output = AgentLoopOutput(prompt_ids=end, response_ids=end, response_mask=[1], metrics={})
        judgement = await self._score([output], data, ResponseText(text, of_tokens=False), validate=False)
        return Grade(float(output.reward_score), answer_read(output, text), judgement)

    async def _score(
        self, outputs: list[AgentLoopOutput], data: dict, response: ResponseText, validate: bool
    ) -> Judgement | None:
        """Give the last output its reward: the reward function's, or the judge's verdict, which is returned.

        Raises:
            JudgeError: see `TeacherClient.judge`.
            RewardFunctionError: see `_compute_score`.
        """
        if validate and (found := asked(data)):
            await self._score_benchmark(outputs[-1], *found, response.text)
            return None
        by, final, judgement = graders(data, self.zppo.judge, validation=validate), outputs[-1], None
        if by.rule:
            await self._compute_score(outputs, kwargs=data | {TEXT: response})
        if by.judge and final.reward_score != 1:
            judgement = await self.teacher.judge(data, response.text)
            final.reward_score = judgement.reward
            final.extra_fields["reward_extra_info"] = {
                "answer": extract_answer(response.text) or "",
                **final.extra_fields.get("reward_extra_info", {}),
                "doubtful": 0.0,
                "score": judgement.reward,
                "acc": judgement.reward,
            }
        if validate and self.zppo.judge.enable:  # verl makes their means metrics: val-aux/<source>/judged/mean@<n>
            final.extra_fields["reward_extra_info"] |= {
                "judged": float(judgement is not None),
                "judge_malformed": float(judgement is not None and judgement.verdict is Verdict.MALFORMED),
            }
        return judgement

    @staticmethod
    def _take_over(output: AgentLoopOutput, answer: str) -> None:
        """Reward 1 for a teacher's response that was graded when the teacher gave it; nobody is asked again."""
        output.reward_score = 1.0
        output.extra_fields["reward_extra_info"] = {"answer": answer, "doubtful": 0.0, "score": 1.0, "acc": 1.0}

    async def _score_benchmark(
        self, output: AgentLoopOutput, benchmark: Benchmark, question: Question, text: str
    ) -> None:
        found = await grade(benchmark, question, text, self.teacher if self.zppo.judge.enable else None)
        output.reward_score = found.score
        output.extra_fields["reward_extra_info"] = found.entries
        if self.zppo.judge.enable:
            output.extra_fields["reward_extra_info"] |= {
                "judged": float(found.judged),
                "judge_malformed": float(found.malformed),
            }

    async def _compute_score(self, outputs: list[AgentLoopOutput], kwargs: dict) -> None:
        if "raw_prompt" in kwargs:  # a reward function gets the text; pixels would go to its process a rollout
            kwargs = kwargs | {"raw_prompt": media.without_media(kwargs["raw_prompt"])}
        final = outputs[-1]
        if TEXT in kwargs and reads_text_alone(self.config):  # spares verl the tensors of some ten thousand tokens
            end = [self.tokenizer.eos_token_id]
            said = {"prompt_ids": end, "response_ids": end, "response_mask": [1], "multi_modal_data": None}
            outputs = [final.model_copy(update=said)]
        try:
            await super()._compute_score(outputs, kwargs=kwargs)
        except ray.exceptions.RayTaskError as error:  # raised by the function, in the reward worker
            raise RewardFunctionError(
                f"the reward function failed on row {kwargs.get('row')} (prompt_id {kwargs.get('prompt_id')!r}): "
                f"{one_line(error.cause)}"
            ) from error
        score = final.reward_score = outputs[-1].reward_score
        if score not in (0, 1):
            raise RewardFunctionError(
                f"the reward function gave {score!r} for row {kwargs.get('row')} (prompt_id "
                f"{kwargs.get('prompt_id')!r}); ZPPO needs an outcome reward of exactly 0 or 1"
            )
