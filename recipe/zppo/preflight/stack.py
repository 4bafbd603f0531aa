"""What verl's engines and servers need, and `recipe.zppo.local`, which has neither, does not."""

from omegaconf import DictConfig, OmegaConf

from recipe.zppo.errors import ConfigError
from recipe.zppo.preflight.checkpoints import check_contents


def check_stack(config: DictConfig) -> None:
    """
    Raises:
        ConfigError: the engines could not train or not go on from what they save, or the servers not start.
    """
    check_token_budgets(config)
    check_contents(config)
    if config.actor_rollout_ref.rollout.name == "hf" and config.trainer.device != "cpu":
        raise ConfigError(
            "actor_rollout_ref.rollout.name: hf is a server for the CPU; platform=local_gpu is for python -m "
            "recipe.zppo.local, here choose platform=gpu, or trainer.device=cpu"
        )


def check_token_budgets(config: DictConfig) -> None:
    """A micro-batch holds whole sequences (verl/utils/seqlen_balancing.py: rearrange_micro_batches).

    Raises:
        ConfigError: a plain prompt with its whole response is longer than a micro-batch may be.
    """
    actor, rollout = config.actor_rollout_ref.actor, config.actor_rollout_ref.rollout
    longest = config.data.max_prompt_length + config.data.max_response_length
    if actor.strategy == "megatron":
        together = OmegaConf.select(actor, "megatron.context_parallel_size")
    else:
        together = OmegaConf.select(actor, "fsdp_config.ulysses_sequence_parallel_size")
    together = max(together or 1, actor.get("ulysses_sequence_parallel_size") or 1)
    scored = config.zppo.distillation.mode == "none"  # else nobody needs the log-probs before the updates
    for name, dynamic, tokens in (
        ("actor.ppo_max_token_len_per_gpu", actor.use_dynamic_bsz, actor.ppo_max_token_len_per_gpu),
        (
            "rollout.log_prob_max_token_len_per_gpu",
            rollout.log_prob_use_dynamic_bsz and scored,
            rollout.log_prob_max_token_len_per_gpu,
        ),
    ):
        if dynamic and tokens * together < longest:
            raise ConfigError(
                f"actor_rollout_ref.{name}: {tokens} tokens do not hold one sequence, {longest} = "
                "data.max_prompt_length + data.max_response_length; raise it, or lower those"
            )
