"""What happens in the agent-loop workers, a response at a time, while other responses are generated."""

from __future__ import annotations

import asyncio
import pickle
import tempfile
from unittest.mock import patch

from omegaconf import DictConfig
from transformers import Qwen3Config
from verl import DataProto
from verl.experimental.agent_loop.agent_loop import AgentLoopOutput
from verl.experimental.reward_loop.reward_loop import RewardLoopWorker
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopWorkerTQ

from benchmarks.measure import Parts, with_helpers
from benchmarks.paper_step import CANDIDATE_TOKENS, GROUP_SIZE, NUM_ROLLOUTS, PROMPT_TOKENS, PaperStep
from recipe.zppo import prompts
from recipe.zppo.candidates import Draft, draw_candidates
from recipe.zppo.compression import bounded_tail, parse_summary, why_not_used
from recipe.zppo.config.compose import compose
from recipe.zppo.methods import METHODS
from recipe.zppo.on_verl.text_rewards import use_text_rewards
from recipe.zppo.on_verl.worker import ZPPOAgentLoopWorker
from recipe.zppo.reward import compute_score, remembered_verdict
from recipe.zppo.sanitize import sanitize
from recipe.zppo.types import Candidate, Group, Kind


def instant_score(**arguments) -> dict[str, float | str]:
    """A reward function that takes no time."""
    return {"score": 1.0, "acc": 1.0, "answer": ""}


class RewardWorkerHere:
    """Stands for the handle of a reward worker: the worker is in this process, what it gets was pickled for it."""

    def __init__(self, config: DictConfig):
        self.compute_score, self._worker = self, RewardLoopWorker(config)

    async def remote(self, data: DataProto) -> dict:
        return await self._worker.compute_score(pickle.loads(pickle.dumps(data, protocol=5)))


async def worker_here(folder: str, tokenizer) -> ZPPOAgentLoopWorker:
    """The worker that trains, with rewards at no cost and nobody to ask."""
    tokenizer.chat_template = "{{ messages[0].content }}"
    tokenizer.save_pretrained(folder)
    Qwen3Config(architectures=["Qwen3ForCausalLM"], vocab_size=len(tokenizer)).save_pretrained(folder)
    function = ["path=pkg://benchmarks.parts_workers", "name=instant_score"]
    config = compose(
        [
            *("platform=cpu", f"actor_rollout_ref.model.path={folder}", "zppo.reformulation.enable=false"),
            *(f"reward.custom_reward_function.{setting}" for setting in function),
        ]
    )
    use_text_rewards(config)
    with patch("transfer_queue.init"):
        return ZPPOAgentLoopWorker(config, None, {}, [RewardWorkerHere(config)])


def measure_responses(parts: Parts, step: PaperStep, tokenizer) -> None:
    """From the end of generation to a scored rollout: text, and a message to a reward worker and back. What the reward
    function does is measured below; that verl writes the tensors to TransferQueue is left out. A slice: all responses
    are of one length.
    """
    groups = step.groups[:16]
    texts = [rollout.text for group in groups for rollout in group.rollouts]
    num_teacher = sum(len(answers.rollouts) for answers in step.teacher.values())

    async def finish(worker: ZPPOAgentLoopWorker, tokens: list[list[int]]) -> None:
        for i, ids in enumerate(tokens):
            output = AgentLoopOutput(
                prompt_ids=ids[:PROMPT_TOKENS], response_ids=ids, response_mask=[1] * len(ids), metrics={}
            )
            row = groups[i // GROUP_SIZE].question.data
            at = {"uid": "1", "session_id": i, "global_steps": 1, "kind": "plain"}
            await worker._agent_loop_postprocess(output, False, **row, **at)

    async def grade(worker: ZPPOAgentLoopWorker) -> None:
        for i, text in enumerate(texts):
            await worker.grade(dict(groups[i // GROUP_SIZE].question.data), text)

    async def written(*_, **__) -> None:
        """As if by verl."""

    tokens = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    writing = patch.object(AgentLoopWorkerTQ.__ray_metadata__.modified_class, "_agent_loop_postprocess", written)
    with tempfile.TemporaryDirectory() as folder, writing, asyncio.Runner() as runner:
        worker = runner.run(worker_here(folder, tokenizer))
        runner.run(finish(worker, tokens[:2]))
        measured = []
        scale, note = NUM_ROLLOUTS / len(texts), f"{len(texts)} of {NUM_ROLLOUTS:,}, scaled"
        with parts.part("student's responses: text, request for the reward", "workers", scale=scale, note=note) as part:
            runner.run(finish(worker, tokens))
        measured.append(part)
        scale, note = num_teacher / len(texts), f"{len(texts)} of {num_teacher}, scaled"
        with parts.part("teacher's responses: text", "workers", scale=scale, note=note) as part:
            for ids in tokens:
                tokenizer.decode(ids, skip_special_tokens=True)
        measured.append(part)
        with parts.part("teacher's responses: request for the reward", "workers", scale=scale, note=note) as part:
            runner.run(grade(worker))
        for one in (*measured, part):
            one.peak_mb = 0.0  # of one response at a time, nothing worth naming


def measure_grading(parts: Parts, step: PaperStep) -> None:
    """The reward of each response: every rollout of the student and of the teacher."""
    remembered_verdict.cache_clear()
    compute_score("", "\\boxed{x+1}", "y")  # the helper process starts
    graded = [(group.question.prompt_id, rollout) for group in step.groups for rollout in group.rollouts]
    graded += [(name, rollout) for name, answers in step.teacher.items() for rollout in answers.rollouts]
    with parts.part(f"grading {len(graded):,} responses", "workers", clock=with_helpers) as part:
        scores = [compute_score("", rollout.text, step.gold[name])["score"] for name, rollout in graded]
    agreed = sum(score == rollout.reward for score, (_, rollout) in zip(scores, graded, strict=True))
    assert agreed > 0.98 * len(graded)  # a "wrong" answer may be drawn equal: 14/7 and 2
    part.note = f"{remembered_verdict.cache_info().misses:,} different pairs of answers"


def measure_candidates(parts: Parts, step: PaperStep, tokenizer) -> None:
    """Drafts, requests for summaries, their acceptance or the fall-back, and the prompts."""
    special = tuple(tokenizer.all_special_tokens)
    instances = [(group.kind, plain) for plain in step.plain for group in step.reformulated if _same(group, plain)]
    with parts.part("candidates: draw"):
        drawn = [
            draw_candidates(
                plain,
                step.teacher[plain.question.prompt_id].rollouts,
                right=METHODS[kind].needs_help,
                seed=0,
                step=1,
            )
            for kind, plain in instances
        ]
    drafts: dict[tuple, Draft] = {}
    for (_, plain), chosen in zip(instances, drawn, strict=True):
        drafts |= {(plain.question.prompt_id, draft.source, draft.index): draft for draft in chosen}
    with parts.part("candidates: requests for summaries", "workers", note=f"{len(drafts)} drafts made safe"):
        for draft in drafts.values():
            prompts.compression_messages(draft.text, special_tokens=special)

    def count_tokens(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False))

    summaries = {}
    with parts.part("candidates: acceptance", "workers"):
        for (key, draft), reply in zip(drafts.items(), _replies(step, drafts), strict=True):
            summary = parse_summary(reply)
            assert why_not_used(draft, summary, 2 * CANDIDATE_TOKENS, count_tokens) is None
            summaries[key] = sanitize(summary, special)
    with parts.part("candidates: fall-back for all", "workers", note="as if no summary were accepted"):
        for draft in drafts.values():
            sanitize(bounded_tail(draft.text, CANDIDATE_TOKENS, tokenizer), special)
    with parts.part("candidates: prompts", note="in the shadow of generation"):
        for (kind, plain), chosen in zip(instances, drawn, strict=True):
            name = plain.question.prompt_id
            shown = [Candidate(summaries[name, d.source, d.index], d.source, d.correct, "", "teacher") for d in chosen]
            group = Group(name, kind, plain.question, 1, candidates=tuple(shown))
            prompts.with_closer(METHODS[kind].messages(group, plain))


def _same(group, plain) -> bool:
    return group.question is plain.question and group.kind in (Kind.BCQ, Kind.NCQ)


def _replies(step: PaperStep, drafts: dict[tuple, Draft]) -> list[str]:
    """A summary of each draft that ends with its answer."""
    replies = []
    for draft, summary in zip(drafts.values(), step.summaries, strict=False):
        answer = draft.text[draft.text.rindex("\\boxed{") : draft.text.rindex(".")]
        start = summary.rindex("\\boxed{")
        replies.append(f"{summary[:start]}{answer}\n</summary>")
    return replies
