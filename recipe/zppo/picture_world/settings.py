"""Everything that determines a picture world, as one frozen record; its hash is the key of the cache."""

from dataclasses import dataclass
from pathlib import Path

from recipe.zppo.world.paths import cache_folder
from recipe.zppo.world.settings import PretrainSettings, world_key

PICTURE_WORLD_VERSION = 1
"""Raise when the code changes what a seed produces: cached worlds of an older version are rebuilt."""

WRONG_NAME_PROBABILITIES: tuple[float, ...] = (0.8, 0.95, 0.99)
"""How often the student's corpus takes a hard name for its decoy; the hard names take these in turn."""


@dataclass(frozen=True)
class VisionModelSettings:
    """Shape of one Qwen3.5 model: vision tower, and a language model of linear and full attention layers."""

    hidden_size: int
    layers: tuple[str, ...]
    """One letter a layer: `l`, linear attention (gated delta net), or `f`, full attention."""
    num_heads: int
    intermediate_size: int
    vision_hidden_size: int
    vision_depth: int
    vision_heads: int = 2
    head_dim: int = 32
    initializer_range: float = 0.08
    """Four times the usual: at this width 0.02 takes long to leave the plateau at the start."""
    max_positions: int = 1024


@dataclass(frozen=True)
class PicturePretrainSettings(PretrainSettings):
    """Of the text world, and the share of pictures to be described."""

    share_description: float = 0.0
    alignment_steps: int = 0
    """Before all else, of the vision tower alone."""
    alignment_pictures: int = 32


@dataclass(frozen=True)
class PictureWorldSettings:
    """A world. Two worlds with equal settings have the same data and, on one machine, the same weights."""

    seed: int = 0
    num_hard_names: int = 4
    """Of the eight colour names, in each family on its own: what the student believes wrongly."""
    two_colours_share: float = 0.5
    """Share of the questions that ask for two colours; the others ask for one."""
    train_questions: int = 960
    val_questions: int = 192
    bcq_right_share: float = 0.6
    """How often the student's corpus follows the right one of two candidates."""
    ncq_right_share: float = 0.15
    """How often the student's corpus answers rightly after a list of wrong answers."""
    hard_share_of_reformulated: float = 0.7
    """Share of the student's BCQ and NCQ documents whose question is drawn again until it has a hard name."""
    student: VisionModelSettings = VisionModelSettings(96, ("l", "f", "f"), 3, 192, 64, 1)
    teacher: VisionModelSettings = VisionModelSettings(96, ("l", "f", "f"), 3, 192, 64, 1)
    student_pretraining: PicturePretrainSettings = PicturePretrainSettings(
        600, 32, 0.45, share_bcq=0.19, share_ncq=0.06, share_description=0.3, alignment_steps=60
    )
    teacher_pretraining: PicturePretrainSettings = PicturePretrainSettings(
        600, 32, 0.5, share_compression=0.15, share_description=0.35, alignment_steps=60
    )
    measured_questions: int = 96
    """Training questions on which the world is measured after pre-training."""

    @classmethod
    def smoke(cls, seed: int = 0) -> "PictureWorldSettings":
        """A world of the same shape whose models have begun to learn, no more. For tests."""
        shape = VisionModelSettings(64, ("l", "f"), 2, 128, 64, 1)
        return cls(
            seed=seed,
            train_questions=48,
            val_questions=48,
            student=shape,
            teacher=shape,
            student_pretraining=PicturePretrainSettings(
                12, 16, 0.5, share_bcq=0.15, share_ncq=0.05, share_description=0.3, alignment_steps=20
            ),
            teacher_pretraining=PicturePretrainSettings(
                12, 16, 0.6, share_compression=0.1, share_description=0.3, alignment_steps=20
            ),
            measured_questions=12,
        )

    def key(self) -> str:
        return world_key(self, PICTURE_WORLD_VERSION, WRONG_NAME_PROBABILITIES)


def default_path(seed: int = 0) -> Path:
    """In the user's cache folder."""
    return cache_folder() / f"picture-world-{seed}"
