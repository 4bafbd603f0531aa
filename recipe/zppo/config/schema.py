"""Typed schema of the `zppo:` node; its defaults are Table 8 of the paper.

`verl/trainer/config/zppo_trainer.yaml` states the same defaults for Hydra, and a test keeps the two equal. The node in
YAML is untyped on purpose: a bad value then reaches `config_validation.validate_zppo`, which names the key and says
what to do.
Defaults such as `${trainer.nnodes}` are OmegaConf interpolations, resolved when the node is validated inside a config.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from recipe.zppo.methods import METHODS, WALK
from recipe.zppo.selection import reformulation_cap
from recipe.zppo.types import Kind


def bounded(default: Any, *, ge: float | None = None, gt: float | None = None, le: float | None = None) -> Any:
    """A field whose value, unless null, must lie in the given bounds."""
    return field(default=default, metadata={"ge": ge, "gt": gt, "le": le})


@dataclass(kw_only=True)
class ReplayConfig:
    """The prompt replay buffer B (Sec. 3; Algorithm 1, lines on X_replay and the update of B)."""

    enable: bool = True
    """Replay hard prompts. Off, nothing is stored and X_replay is empty (the paper's methods without a dagger)."""

    fraction: float = bounded(0.25, ge=0.0, le=1.0)
    """rho_replay: replayed prompts per new prompt; fewer while the buffer is small."""

    capacity: int = bounded(10_000, ge=1)
    """Prompts that the buffer holds at most; the oldest is evicted first."""

    weights: Literal["uniform", "entry_accuracy", "visits"] = "uniform"
    """How X_replay is drawn from the buffer. uniform (the paper); beyond it: entry_accuracy prefers prompts that were
    nearly solved when they came in, visits those that were replayed least."""


@dataclass(kw_only=True)
class ReformulationConfig:
    """What hard questions become: BCQ and NCQ, or one of the rival groups that the teacher helps (App. D.2)."""

    enable: bool = True
    """Build reformulated questions. Off, the teacher is never started."""

    fraction: float = bounded(0.25, ge=0.0, le=1.0)
    """rho_aug: the cap on hard questions kept, and on BCQ + NCQ instances, per new prompt of the step."""

    bcq: bool = True
    """Build BCQ: one correct teacher rollout and one wrong student rollout."""

    ncq: bool = True
    """Build NCQ: all wrong student rollouts of the question."""

    hint: bool = False
    """Instead of BCQ: a hint in the prompt, written by the teacher from one correct rollout of its own (Alg. 5). One
    that gives the answer away is dropped and counted."""

    prefix: bool = False
    """Instead of BCQ: the beginning of one correct teacher rollout opens the response, outside the loss (Alg. 6)."""

    prefix_fraction: float = bounded(0.4, gt=0.0, le=0.9)
    """alpha: the share of the teacher rollout's tokens that opens the response."""

    schedule: Literal["same_step", "next_step"] = "same_step"
    """same_step (the paper): rolled out in the step that built them. next_step: together with the plain prompts of the
    following step, by that step's policy, so that a step has one generation phase instead of two."""

    max_candidate_tokens: int = bounded(512, ge=1)
    """Tokens of one candidate in a prompt at most (compression modes `teacher` and `truncate`)."""


@dataclass(kw_only=True)
class CompressionConfig:
    """How a rollout becomes a candidate (Fig. 16)."""

    mode: Literal["teacher", "truncate", "none"] = "teacher"
    """teacher: the teacher's summary, or the bounded tail of the response where that fails; truncate: always the
    bounded tail; none: the whole response, bounded by the context only."""

    max_tokens: int = bounded(512, ge=1)
    """New tokens that the teacher may write for one summary, or hint."""

    thinking: bool = False
    """Let the chat template open with reasoning before a summary or hint, which counts in `max_tokens`; as
    `zppo.judge.thinking`. What does not come to the end of its thoughts is no summary."""


@dataclass(kw_only=True)
class DistillationConfig:
    """Learning the teacher's distributions instead of rewards: per-token Jensen-Shannon divergence (Algs. 2 and 3)."""

    mode: Literal["none", "off_policy", "on_policy"] = "none"
    """off_policy: on fresh correct teacher rollouts of every prompt, student rollouts only keep the books; on_policy:
    on the student's own plain rollouts, scored by the teacher. Student and teacher share one vocabulary."""

    topk: int | None = bounded(64, ge=1)
    """Most likely tokens of the teacher at each position; the rest of the mass is one bucket. null takes the whole
    vocabulary: the exact divergence, for small vocabularies."""


@dataclass(kw_only=True)
class TeacherConfig:
    """The frozen teacher: its servers, its sampling, and what happens when it fails."""

    path: str | None = None
    """Local folder or hub id; with `base_url` the name under which the model is served there. Required while anything
    asks the teacher."""

    base_url: str | None = None
    """An OpenAI-compatible endpoint that serves the teacher, such as http://host:8000/v1: no accelerators are placed
    for it. null starts servers of our own. Chat completions only, so not for distillation."""

    api_key_env: str = "ZPPO_TEACHER_API_KEY"
    """Environment variable that holds the endpoint's key, where it wants one. The key is read from the environment of
    the process that starts the run and is never written anywhere."""

    openai_fields_only: bool = False
    """Send the endpoint only what OpenAI's own API has, for services that refuse the rest: no top-k, min-p and
    repetition penalty, for which the server's defaults then hold (vLLM's are the model's generation_config.json), and
    no `chat_template_kwargs`."""

    more: list[str] = field(default_factory=list)
    """Further teachers (beyond the paper). A question that one does not solve goes to the next; `path` is asked first,
    and compresses. Each gets a pool of its own, of `n_gpus_per_node` x `nnodes`."""

    n_rollouts: int = bounded(4, ge=1)
    """G_T: fresh teacher rollouts for each hard question."""

    n_gpus_per_node: int = bounded(2, ge=1)
    """Accelerators of each node that serve the teacher; the student has `trainer.n_gpus_per_node` others."""

    nnodes: int = bounded("${trainer.nnodes}", ge=1)
    """Nodes of the teacher's pool."""

    temperature: float = bounded(1.0, ge=0.0)
    """Sampling temperature of teacher rollouts (compression uses the same)."""

    top_p: float = bounded(1.0, gt=0.0, le=1.0)
    """Nucleus of teacher rollouts."""

    top_k: int = bounded(-1, ge=-1)
    """-1 samples from the whole vocabulary."""

    response_length: int = bounded("${data.max_response_length}", ge=1)
    """New tokens of one teacher rollout at most; the student's response length unless set."""

    request_timeout_s: float = bounded(1800.0, gt=0.0)
    """Seconds that one request may take, waiting in the server's queue included."""

    step_timeout_s: float = bounded(3600.0, gt=0.0)
    """Seconds that the teacher work of one step may take; what is late then is dropped and counted."""

    max_retries: int = bounded(2, ge=0)
    """Further tries of a request that failed or timed out."""

    max_concurrent_requests: int = bounded(1024, ge=1)
    """Requests in flight at once, over all agent-loop workers."""

    dead_after_failures: int = bounded(8, ge=1)
    """Failures in a row after which the teacher counts as dead: steps go on with NCQ and truncated candidates only."""

    retry_after_s: float = bounded(300.0, gt=0.0)
    """Seconds until a dead teacher is tried again."""

    inference: dict[str, Any] = field(
        default_factory=lambda: {
            "tensor_model_parallel_size": 1,
            "gpu_memory_utilization": 0.85,
            "max_num_seqs": 256,
            "max_model_len": "${actor_rollout_ref.rollout.max_model_len}",
        }
    )
    """Settings of verl's rollout config for the teacher's servers, on top of verl's teacher defaults. `max_num_seqs` is
    not verl's 1024: vLLM does not start where it exceeds the blocks that a model with linear attention has, about 700
    for a 27B of 8 bits on 80 GB."""


@dataclass(kw_only=True)
class JudgeConfig:
    """The teacher as judge of free-form answers (App. D.1): rows whose `extra_info.answer_type` is `free_form`."""

    enable: bool = False
    """Ask the judge; the first teacher is started for it also where the method needs none. Required while the data
    have free-form rows. In validation the reward function goes first, and the judge gets what it calls wrong."""

    max_tokens: int = bounded(512, ge=1)
    """New tokens of one verdict at most. Temperature 0 and top-p 1 are fixed."""

    max_answer_tokens: int = bounded(512, ge=1)
    """Of a response without a box the judge sees its end, so many of the student's tokens; else the boxed answer."""

    thinking: bool = False
    """Let the chat template open with reasoning, which counts in `max_tokens`. false passes `enable_thinking=false` to
    the template (to an endpoint as `chat_template_kwargs`; see `teacher.openai_fields_only`)."""


@dataclass(kw_only=True)
class ValidationConfig:
    """What verl's `rollout.val_kwargs` has no key for (App. B.2)."""

    presence_penalty: float = bounded(1.5, ge=-2.0, le=2.0)
    """Taken from the logit of every token that a validation response has already. 0 switches it off. Training samples
    without any penalty."""


@dataclass(kw_only=True)
class TimeoutsConfig:
    """Limits on waiting: a run stops with a message instead of hanging."""

    start_s: float = bounded(3600.0, gt=0.0, le=1e8)
    """Seconds until the engine and the servers of student and teacher are ready, reading the data not counted."""

    rollout_s: float = bounded(3600.0, gt=0.0)
    """Seconds from submission until a group of rollouts, plain or reformulated, must be complete."""

    step_s: float = bounded(10_800.0, gt=0.0)
    """Seconds that the generation of a whole step may take."""

    validation_s: float = bounded(10_800.0, gt=0.0)
    """Seconds that one validation may take."""

    engine_s: float = bounded(21_600.0, gt=0.0, le=1e8)
    """Seconds that one call of the training engine may take: log-probs, the updates of a step, weights to the servers,
    a checkpoint."""


@dataclass(kw_only=True)
class DataConfig:
    """What ZPPO needs of the data rows beyond verl's columns."""

    prompt_id_key: str = "prompt_id"
    """Column with an id that is unique over the training files: a prompt lives in the buffer under it. Without such a
    column, a hash of question and answer serves."""


@dataclass(kw_only=True)
class LoggingConfig:
    """Files that a run writes beside console and TensorBoard."""

    rollouts_dir: str | None = "${trainer.default_local_dir}/rollouts"
    """Folder of one JSONL file a step: question, prompt kind, candidates, responses, rewards. null writes none."""

    metrics_file: str | None = "${trainer.default_local_dir}/metrics.jsonl"
    """JSONL file with the metrics of every step. null writes none."""

    text_limit: int | None = bounded(65_536, ge=1)
    """Characters of one text in the rollout files at most; null for no limit."""


@dataclass(kw_only=True)
class ExportConfig:
    """What is written at the end of a run."""

    hf_model: bool = True
    """Write the final student as a Hugging Face checkpoint."""


@dataclass(kw_only=True)
class ZPPOConfig:
    """The whole `zppo:` node."""

    threshold: float = bounded(0.5, gt=0.0, le=1.0)
    """tau: a question is hard, and kept in the buffer, while its mean plain reward is below this."""

    seed: int = bounded(0, ge=0)
    """Seed of replay sampling, tie-breaks, the choice and the order of candidates."""

    updates_per_step: int = bounded(4, ge=1)
    """I: gradient updates per rollout step, whatever the size of the batch."""

    advantage_norm: Literal["without_zero", "with_zero", "none"] = "without_zero"
    """Groups whose rollouts enter the batch statistics of the two-step estimator (Eqs. 2 to 6): the non-trivial ones,
    all, or no second step at all."""

    advantage_eps: float = bounded(1e-6, gt=0.0)
    """Added to the standard deviation before dividing."""

    dynamic_sampling: bool = False
    """Beyond the paper: groups whose rollouts still have one reward after BCQ and NCQ were tried do not enter the
    update (they have no advantage, but their tokens would count in the loss's mean). Buffer and books see them."""

    dry_run: bool = False
    """Check and plan the run, print one page, and stop: status 0 when it would run, 2 when something would fail."""

    hardware: str | None = None
    """Hardware to plan for instead of the machine or Ray cluster at hand: nodes x accelerators of a node x GB of memory
    of each, such as 8x8x80."""

    replay: ReplayConfig = field(default_factory=ReplayConfig)
    reformulation: ReformulationConfig = field(default_factory=ReformulationConfig)
    compression: CompressionConfig = field(default_factory=CompressionConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    judge: JudgeConfig = field(default_factory=JudgeConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    timeouts: TimeoutsConfig = field(default_factory=TimeoutsConfig)
    data: DataConfig = field(default_factory=DataConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    export: ExportConfig = field(default_factory=ExportConfig)

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
    def writes_hint(self) -> bool:
        """The teacher writes hints."""
        return any(METHODS[kind].writes_hint for kind in self.kinds)

    @property
    def asks_teacher(self) -> bool:
        """The teacher is asked for rollouts of questions."""
        return any(METHODS[kind].asks_teacher for kind in self.kinds)

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
