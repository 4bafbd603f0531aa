"""Whether a run can go on from the checkpoint that it is to go on from, and will leave one."""

import json
from pathlib import Path

from omegaconf import DictConfig

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import ConfigError
from recipe.zppo.run.checkpoint_files import latest_complete

CONTENTS = "actor_rollout_ref.actor.checkpoint"
WHOLE = ("model", "optimizer", "extra")
"""verl's names for weights, moments, and random state with the schedule."""


def check_saving(config: DictConfig, zppo: ZPPOConfig) -> None:
    """The final model is written from a checkpoint, and verl saves one at the end only if it saves at all."""
    if zppo.export.hf_model and config.trainer.save_freq <= 0:
        raise ConfigError(
            f"zppo.export.hf_model: the model is written from the last checkpoint, but trainer.save_freq="
            f"{config.trainer.save_freq} saves none; set a positive one, or zppo.export.hf_model=false"
        )


def check_contents(config: DictConfig) -> None:
    """Of verl's engines: checkpoints have the model that is exported, and all that a resumed run goes on from.

    Raises:
        ConfigError: a part is left out. Without the optimiser's moments, or its schedule, a resume is another run.
    """
    trainer, keys = config.trainer, config.actor_rollout_ref.actor.checkpoint
    contents = {name: WHOLE if keys[name] is None else keys[name] for name in ("save_contents", "load_contents")}
    if trainer.save_freq > 0 and config.zppo.export.hf_model and "model" not in contents["save_contents"]:
        raise ConfigError(
            f"{CONTENTS}.save_contents: the final model is written from the last checkpoint, which would lack it; add "
            "model, or set zppo.export.hf_model=false"
        )
    if trainer.resume_mode == "disable":
        return
    for name, parts in contents.items():
        lacking = [part for part in WHOLE if part not in parts]
        if lacking and (name == "load_contents" or trainer.save_freq > 0):
            raise ConfigError(
                f"{CONTENTS}.{name}: without {' and '.join(lacking)} a run that goes on from a checkpoint would be "
                f"another one; set [{','.join(WHOLE)}], or trainer.resume_mode=disable to start afresh each time"
            )


def check_resume(config: DictConfig) -> None:
    """`resume_mode` and `resume_from_path` agree, and the folder is there."""
    trainer = config.trainer
    mode, path = trainer.resume_mode, trainer.resume_from_path
    if mode != "resume_path":
        if path:
            raise ConfigError(
                f"trainer.resume_from_path: ignored while trainer.resume_mode={mode}; "
                "set trainer.resume_mode=resume_path"
            )
        return
    if not path:
        raise ConfigError(
            "trainer.resume_from_path: set it to a folder global_step_<N>, as resume_mode=resume_path asks"
        )
    folder = Path(str(path))
    step = folder.name.removeprefix("global_step_")
    if step == folder.name or not step.isdigit():
        raise ConfigError(f"trainer.resume_from_path: {path} does not end in global_step_<N>")
    if not folder.is_dir():
        raise ConfigError(f"trainer.resume_from_path: the folder {path} does not exist")


def check_ranks(config: DictConfig) -> None:
    """Verl's FSDP shards load on as many ranks as wrote them; another number would fail in the workers."""
    trainer = config.trainer
    if trainer.resume_mode == "disable":
        return
    named = trainer.resume_mode == "resume_path"
    path = trainer.resume_from_path if named else latest_complete(str(trainer.default_local_dir))
    try:
        saved = json.loads((Path(str(path)) / "actor" / "fsdp_config.json").read_text()).get("world_size")
    except (OSError, ValueError, AttributeError):
        return  # none, or not FSDP's
    ranks = trainer.n_gpus_per_node * trainer.nnodes
    if isinstance(saved, int) and saved != ranks:
        raise ConfigError(
            f"trainer.n_gpus_per_node: {path} was saved by {saved} ranks and can be taken up by as many only, not by "
            f"n_gpus_per_node x nnodes = {ranks}; use as many, or train on from its exported model in another "
            "trainer.default_local_dir"
        )
