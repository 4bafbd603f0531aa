"""The keys below `zppo`: types, defaults, bounds and meaning. The defaults are Table 8 of the paper.

What is said here is said nowhere else: `make config` writes the node of verl/trainer/config/zppo_trainer.yaml and the
page docs/reference/config.md from it. A default such as `${trainer.nnodes}` is an interpolation of the YAML, resolved
when the node is validated inside a config.
"""

from typing import Literal

from recipe.zppo.config.engine import Group, key
from recipe.zppo.config.method_keys import (
    CompressionConfig,
    DistillationConfig,
    ReformulationConfig,
    ReplayConfig,
    candidates,
    rewards,
)
from recipe.zppo.config.run_keys import (
    DataConfig,
    EvaluateConfig,
    ExportConfig,
    LoggingConfig,
    PlanConfig,
    TimeoutsConfig,
    ValidationConfig,
)
from recipe.zppo.config.teacher_keys import AnswerConfig, JudgeConfig, RewardConfig, TeacherConfig
from recipe.zppo.methods import METHODS, WALK
from recipe.zppo.mini_batches import Unit
from recipe.zppo.selection import reformulation_cap
from recipe.zppo.types import Kind


class ZPPOConfig(Group):
    """The keys of the step itself; the groups follow."""

    threshold: float = key(0.5, gt=0.0, le=1.0, paper="tau, Table 8; Algorithm 1, step 2")
    """A question is hard, and kept in the buffer, while the mean reward of its plain group is below this."""

    seed: int = key(0, ge=0)
    """Seed of replay sampling, tie-breaks, mini-batches, and the choice and order of candidates; the order of the data
    follows it."""

    updates_per_step: int = key(4, ge=1, paper="I, Table 8; Fig. 6")
    """Gradient updates per rollout step, whatever the size of its batch."""

    mini_batches: Unit = key("rollouts", paper='"I equal mini-batches" in Algorithm 1, step 6')
    """What is dealt out at random to the updates of a step: single rollouts, or whole groups. With whole groups the
    updates are of about equal size only, and padded."""

    advantage_statistics: Literal["batch", "mini_batch"] = key(
        "batch", paper="batch in Table 8; mini-batch in Eqs. 2 and 3", used=rewards
    )
    """Where mean and deviation of the two-step advantage are taken: over the step's whole batch, or in each of its
    mini-batches. The first step, the mean of a group, is over the whole group either way."""

    optimizer: Literal["anyprecision", "stochastic", "fp32"] = key("anyprecision", paper="AnyPrecisionAdamW, Table 8")
    """The student's AdamW, with the type of its weights: anyprecision has bf16 weights and moments and Kahan summation;
    stochastic the same without the sum, rounding by chance; fp32 has weights and moments in fp32, and is what
    platform=cpu takes. docs/guides/optimizer.md compares them."""

    advantage_norm: Literal["without_zero", "with_zero", "none"] = key(
        "without_zero", paper="S in Eqs. 2 to 6; Fig. 6", used=rewards
    )
    """Groups whose rollouts enter the batch statistics of the two-step advantage: those with unequal rewards, all, or
    no second step at all."""

    advantage_eps: float = key(1e-6, gt=0.0, paper="eps in Eqs. 2 to 6", used=rewards)
    """Added to the standard deviation before dividing by it."""

    skip_zero_advantages: bool = key(True, used=rewards)
    """Updates do not compute rollouts without an advantage: those of groups with equal rewards, whose gradient is zero.
    Their tokens count in the loss's mean all the same; `actor/ppo_kl` and `actor/pg_clipfrac` are then of the others.
    With a loss to which they matter (a KL or entropy term, a mean over sequences) all are computed, and on Megatron."""

    dynamic_sampling: bool = key(False, used=rewards)
    """Beyond the paper: groups whose rollouts still have one reward after BCQ and NCQ were tried do not enter the
    update. They have no advantage, but their tokens would count in the loss's mean; buffer and books see them."""

    dry_run: bool = False
    """Check and plan the run, print one page, and stop: status 0 when it would run, 2 when something would fail."""

    hardware: str | None = None
    """Hardware to plan for: nodes x accelerators of a node x GB of memory of each, such as 8x8x80. null looks at the
    machine or Ray cluster at hand."""

    plan: PlanConfig = PlanConfig()
    replay: ReplayConfig = key(ReplayConfig(), used=lambda config: config.replay.enable)
    reformulation: ReformulationConfig = key(ReformulationConfig(), used=lambda config: config.reformulation.enable)
    compression: CompressionConfig = key(CompressionConfig(), used=candidates)
    distillation: DistillationConfig = key(DistillationConfig(), used=lambda config: config.distillation.mode != "none")
    teacher: TeacherConfig = key(TeacherConfig(), used=lambda config: config.needs_teacher)
    answer: AnswerConfig = AnswerConfig()
    reward: RewardConfig = RewardConfig()
    judge: JudgeConfig = JudgeConfig()
    validation: ValidationConfig = ValidationConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    timeouts: TimeoutsConfig = TimeoutsConfig()
    data: DataConfig = DataConfig()
    logging: LoggingConfig = LoggingConfig()
    export: ExportConfig = ExportConfig()

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Extra groups that a step can have beside the plain ones, in the order of the walk."""
        if self.distillation.mode == "off_policy":
            return (Kind.TEACHER,)
        chosen = self.reformulation
        return tuple(kind for kind in WALK if chosen.enable and getattr(chosen, kind.value))

    def num_replayed(self, num_new: int) -> int | None:
        """Questions drawn from the buffer beside ``num_new`` new ones; None without replay."""
        return reformulation_cap(self.replay.fraction, num_new) if self.replay.enable else None

    @property
    def compresses(self) -> bool:
        """The teacher summarises candidates."""
        return self.compression.mode == "teacher" and any(METHODS[kind].fewest_candidates for kind in self.kinds)

    @property
    def summaries_asked(self) -> int:
        """Of one response at most. At temperature 0 another one would be the same."""
        return self.compression.attempts if self.teacher.temperature else 1

    @property
    def writes_hint(self) -> bool:
        """The teacher writes hints."""
        return any(METHODS[kind].writes_hint for kind in self.kinds)

    @property
    def asks_teacher(self) -> bool:
        """The teacher is asked for rollouts of questions."""
        return any(METHODS[kind].asks_teacher for kind in self.kinds)

    @property
    def asks_hard(self) -> bool:
        """The teacher is asked for rollouts of questions because they are hard, before the cap."""
        methods = [METHODS[kind] for kind in self.kinds]
        return any(each.asks_teacher and not (each.asks_after_cap or each.off_policy) for each in methods)

    @property
    def needs_teacher(self) -> bool:
        """Somebody asks the teacher: for rollouts, summaries or verdicts, or to score the student's."""
        return self.asks_teacher or self.compresses or self.judge.enable or self.distillation.mode == "on_policy"

    @property
    def teacher_paths(self) -> list[str]:
        """All teachers, in the order in which they are asked."""
        return [self.teacher.path, *self.teacher.more] if self.needs_teacher else []

    @property
    def placed_teachers(self) -> list[str]:
        """Those of `teacher_paths` that get accelerators and servers of this run."""
        return [] if self.teacher.base_url else self.teacher_paths
