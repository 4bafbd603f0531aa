"""Whether the numbers of a step go together: its prompts, groups and updates, and the rows that it draws from."""

from typing import Any

from omegaconf import DictConfig

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import ConfigError
from recipe.zppo.selection import reformulation_cap


def check_batch(config: DictConfig, zppo: ZPPOConfig) -> None:
    """Group size, batch size and the numbers derived from them."""
    size, group = config.data.train_batch_size, config.actor_rollout_ref.rollout.n
    require_whole("data.train_batch_size", size, 1)
    require_whole("actor_rollout_ref.rollout.n", group, 1)
    if group < 2:
        raise ConfigError(
            "actor_rollout_ref.rollout.n: a group of 1 has no advantage (its mean is its reward); set at least 2"
        )
    if size < zppo.updates_per_step:
        raise ConfigError(
            f"zppo.updates_per_step: {zppo.updates_per_step} updates can't share data.train_batch_size={size} prompts; "
            "each update needs at least one"
        )
    mini = config.actor_rollout_ref.actor.ppo_mini_batch_size
    if mini != size:
        raise ConfigError(
            f"actor_rollout_ref.actor.ppo_mini_batch_size: {mini} would be ignored; a step has zppo.updates_per_step "
            "equal mini-batches, so set that, and leave this key at ${data.train_batch_size}"
        )
    gen = config.data.get("gen_batch_size")
    if gen not in (None, size):
        raise ConfigError(f"data.gen_batch_size: {gen} would be ignored; leave it null, or at data.train_batch_size")
    for name, part in (("replay", zppo.replay), ("reformulation", zppo.reformulation)):
        if part.enable and reformulation_cap(part.fraction, size) < 1:
            raise ConfigError(
                f"zppo.{name}.fraction: {part.fraction} of data.train_batch_size={size} is less than one prompt; "
                f"raise one of the two, or set zppo.{name}.enable=false"
            )


def check_enough_rows(config: DictConfig, num_rows: int | None) -> None:
    """A step needs a full batch of new prompts: verl drops the last, incomplete one. None: their number is unknown."""
    if num_rows is None:
        return
    size, most = config.data.train_batch_size, config.data.get("train_max_samples", -1)
    usable = min(num_rows, most) if most and most > 0 else num_rows
    if usable < size:
        raise ConfigError(
            f"data.train_batch_size: {size} new prompts a step can't be met by {usable} training rows; "
            "lower it, or give more data"
        )
    steps, wanted = usable // size * config.trainer.total_epochs, config.trainer.total_training_steps
    if wanted is not None and wanted > steps:
        raise ConfigError(
            f"trainer.total_training_steps: {wanted} steps of {size} prompts are more than the {steps} that "
            f"{usable} rows and trainer.total_epochs={config.trainer.total_epochs} give; raise the epochs or lower it"
        )


def require_whole(key: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{key}: must be a whole number of at least {least}, got {value!r}")
