"""Whether a run can go on from the checkpoint that it is to go on from, and will leave one."""

import json
from pathlib import Path

from omegaconf import DictConfig

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import ConfigError
from recipe.zppo.run.checkpoint_files import latest_complete


def check_saving(config: DictConfig, zppo: ZPPOConfig) -> None:
    """The final model is written from a checkpoint, and verl saves one at the end only if it saves at all."""
    if zppo.export.hf_model and config.trainer.save_freq <= 0:
        raise ConfigError(
            f"zppo.export.hf_model: the model is written from the last checkpoint, but trainer.save_freq="
            f"{config.trainer.save_freq} saves none; set a positive one, or zppo.export.hf_model=false"
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
