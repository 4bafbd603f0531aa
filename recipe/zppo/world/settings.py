"""Everything that determines a world, as one frozen record; its hash is the key of the cache."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from recipe.zppo.world import templates

WORLD_VERSION = 2
"""Raise when the code changes what a seed produces: cached worlds of an older version are rebuilt."""

WRONG_PRICE_PROBABILITIES: dict[str, tuple[float, ...]] = {
    "firm": (0.9, 0.99, 0.998, 0.9995),
    "mild": (0.7, 0.9, 0.97, 0.995),
    "spread": (0.9, 0.99, 0.998, 0.9995),
}
"""How often the student's corpus states a wrong price of a hard item; the hard items take these in turn.

In the firm world most hard items are out of reach of plain sampling. In the mild one eight samples usually
contain a right one, so plain replay gets there as well: it demonstrates the mechanism and little else.
"""

NUM_WRONG_PRICES: dict[str, int] = {"firm": 1, "mild": 1, "spread": 3}
"""Wrong prices of a hard item, each stated as often as the others.

With one of them a list of wrong answers tells the student nothing new. With several each answer on the list rules one
out, and the student's corpus says so: after such a list it states prices that give none of these answers. The spread
world is there to see what NCQ teaches then.
"""


@dataclass(frozen=True)
class ModelSettings:
    """Shape of one Qwen3 model."""

    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    intermediate_size: int
    head_dim: int = 32
    """A multiple of 32: vLLM's CPU attention has no smaller head."""
    initializer_range: float = 0.08
    """Four times the usual: at this width 0.02 takes long to leave the plateau at the start."""
    max_positions: int = 1024


@dataclass(frozen=True)
class PretrainSettings:
    """Shares of the kinds of documents, and the optimiser's schedule."""

    steps: int
    batch_documents: int
    share_plain: float
    share_bcq: float = 0.0
    share_ncq: float = 0.0
    share_compression: float = 0.0
    share_hint: float = 0.0
    """Student: questions with a hint. Teacher: requests for one."""
    lr: float = 3e-3
    warmup_steps: int = 20
    final_lr_share: float = 0.05


@dataclass(frozen=True)
class WorldSettings:
    """A world. Two worlds with equal settings have the same data and, on one machine, the same weights."""

    seed: int = 0
    difficulty: str = "firm"
    num_items: int = 40
    num_hard_items: int = 16
    max_price: int = 9
    bill_lengths: tuple[int, ...] = (2, 3, 4)
    longer_bill_length: int = 5
    longer_share: float = 0.1
    """Share of plain pre-training documents with bills of `longer_bill_length`, which RL's questions never have."""
    num_reserved_pairs: int = 60
    """Pairs of items that occur together in no bill but those of the shifted questions."""
    train_questions: int = 1280
    val_questions: int = 256
    shifted_questions: int = 128
    bcq_right_share: float = 0.6
    """How often the student's corpus follows the right one of two candidates."""
    ncq_right_share: float = 0.15
    """How often the student's corpus answers rightly after a list of wrong answers."""
    hint_followed_share: float = 0.9
    """How often the student's corpus takes over the price that a hint states."""
    hard_share_of_reformulated: float = 0.7
    """Share of the student's BCQ, NCQ and hinted documents whose question is drawn again until it holds a hard item."""
    student: ModelSettings = ModelSettings(96, 4, 4, 4, 256)
    teacher: ModelSettings = ModelSettings(128, 3, 4, 2, 384)
    student_pretraining: PretrainSettings = PretrainSettings(
        320, 64, 0.55, share_bcq=0.25, share_ncq=0.12, share_hint=0.08
    )
    teacher_pretraining: PretrainSettings = PretrainSettings(500, 64, 0.60, share_compression=0.30, share_hint=0.10)
    measured_questions: int = 256
    """Training questions on which the world is measured after pre-training."""

    def __post_init__(self) -> None:
        if self.difficulty not in WRONG_PRICE_PROBABILITIES:
            known = ", ".join(sorted(WRONG_PRICE_PROBABILITIES))
            raise ValueError(f"difficulty must be one of {known}, got {self.difficulty!r}")

    @classmethod
    def miniature(cls, seed: int = 0, difficulty: str = "firm") -> "WorldSettings":
        """A world of the same shape that is built in seconds; its models know nothing. For tests."""
        return cls(
            seed=seed,
            difficulty=difficulty,
            train_questions=32,
            val_questions=16,
            shifted_questions=8,
            student=ModelSettings(32, 1, 1, 1, 32),
            teacher=ModelSettings(32, 1, 1, 1, 32),
            student_pretraining=PretrainSettings(
                3, 8, 0.5, share_bcq=0.25, share_ncq=0.125, share_hint=0.125, warmup_steps=1
            ),
            teacher_pretraining=PretrainSettings(3, 8, 0.5, share_compression=0.25, share_hint=0.25, warmup_steps=1),
            measured_questions=8,
        )

    @property
    def num_wrong_prices(self) -> int:
        return NUM_WRONG_PRICES[self.difficulty]

    def key(self) -> str:
        more = {"wrong_prices": self.num_wrong_prices} if self.num_wrong_prices > 1 else {}  # firm keys are as ever
        return world_key(self, WORLD_VERSION, WRONG_PRICE_PROBABILITIES[self.difficulty], **more)


def world_key(settings: Any, version: int, probabilities: tuple[float, ...], **more: int) -> str:
    """Hash of everything that determines a world: settings, version of the code, prompt templates."""
    determinants = {
        "version": version,
        "settings": dataclasses.asdict(settings),
        "probabilities": probabilities,
        "templates": templates.sentences(),
        **more,
    }
    return hashlib.sha256(json.dumps(determinants, sort_keys=True).encode()).hexdigest()
