"""Rewards of texts: a reward worker gets what a response says, so that nobody turns its tokens into text again.

verl's reward managers take tokens, and decode them. A teacher's text has none of the student's, and the student's text
is known to the agent-loop worker already. `TextRewardManager` lets the manager that the run has chosen
(`reward.reward_manager`) do all of its work but that.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf, open_dict
from verl import DataProto
from verl.experimental.reward_loop.reward_manager.base import RawRewardFn, RewardManagerBase
from verl.trainer.ppo.reward import resolve_reward_manager_cls

from recipe.zppo.reward import use_reward
from recipe.zppo.reward_result import with_outcome

TEXT = "zppo_text"
"""Field of a response on its way to a reward worker: its `ResponseText`."""

_CHOSEN = "chosen_reward_manager"


def use_text_rewards(config: DictConfig) -> None:
    """Put `TextRewardManager` before the reward manager of a composed config.

    Ours of the reward functions are told grader and form of an answer, too: verl's `remote` manager has processes of
    its own.
    """
    function = config.reward.custom_reward_function
    with open_dict(config.reward):
        if (function.path or "").startswith("pkg://recipe.zppo."):
            given = {"reward_kwargs": {"grader": config.zppo.reward.grader, "answer": config.zppo.answer}}
            config.reward.custom_reward_function = OmegaConf.merge(given, function)
        config.reward[_CHOSEN] = config.reward.reward_manager
        config.reward.reward_manager = OmegaConf.merge(
            config.reward.reward_manager,
            {"source": "importlib", "name": TextRewardManager.__name__, "module": {"path": f"pkg://{__name__}"}},
        )


def reads_text_alone(config: DictConfig) -> bool:
    """Whether the chosen manager looks at a response's text and not at its tokens: verl's default, `naive`."""
    chosen = config.reward.get(_CHOSEN) or config.reward.reward_manager
    return (chosen.source, chosen.name) == ("register", "naive")


@dataclass(frozen=True, slots=True)
class ResponseText:
    """An object, because numpy, in which verl packs the fields, cuts the zero characters at the end of a string."""

    text: str
    of_tokens: bool
    """Whether the response's tokens say this; those of somebody else's text say nothing."""


class TextRewardManager(RewardManagerBase):
    """The chosen manager, whose tokenizer knows each response's text; its scores become outcomes."""

    def __init__(self, config: DictConfig, tokenizer: Any, compute_score: RawRewardFn, **options: Any):
        super().__init__(config, tokenizer, compute_score)
        use_reward(config.zppo)
        self.binarize = config.zppo.reward.binarize
        config = copy.deepcopy(config)
        config.reward.reward_manager = config.reward[_CHOSEN]
        manager_cls = resolve_reward_manager_cls(config)
        self.chosen = manager_cls(config=config, tokenizer=tokenizer, compute_score=compute_score, **options)

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        response = data.non_tensor_batch.pop(TEXT)[-1]
        manager = copy.copy(self.chosen)  # its own for each response, of which many are under way together
        manager.tokenizer = _KnowsText(self.tokenizer, response, data.batch["responses"][-1])
        result = await manager.run_single(data)
        score, extra = with_outcome(result["reward_score"], result.get("reward_extra_info") or {}, self.binarize)
        return result | {"reward_score": score, "reward_extra_info": extra}


class _KnowsText:
    """The student's tokenizer, but for what it says of one response."""

    def __init__(self, tokenizer: Any, response: ResponseText, token_ids: torch.Tensor):
        self._tokenizer, self._response, self._token_ids = tokenizer, response, token_ids

    def decode(self, token_ids: Any, skip_special_tokens: bool = False, **options: Any) -> str:
        known = skip_special_tokens or not self._response.of_tokens
        if known and isinstance(token_ids, torch.Tensor) and torch.equal(token_ids, self._token_ids):
            return self._response.text
        return self._tokenizer.decode(token_ids, skip_special_tokens=skip_special_tokens, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)
