"""The keys below `zppo`: types, defaults, bounds and meaning. The defaults are Table 8 of the paper.

What is said here is said nowhere else: `make config` writes the node of verl/trainer/config/zppo_trainer.yaml and the
page docs/reference/config.md from it. A default such as `${trainer.nnodes}` is an interpolation of the YAML, resolved
when the node is validated inside a config.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias

from recipe.zppo.config.engine import DescribedAs, Group, key
from recipe.zppo.methods import METHODS, WALK
from recipe.zppo.mini_batches import Unit
from recipe.zppo.selection import PreCap, reformulation_cap
from recipe.zppo.types import Kind

Used: TypeAlias = Callable[["ZPPOConfig"], bool]
"""Whether a key matters to a method; the reference page asks it of every method's config."""


def rewards(config: "ZPPOConfig") -> bool:
    return config.distillation.mode == "none"


def candidates(config: "ZPPOConfig") -> bool:
    return any(METHODS[kind].fewest_candidates for kind in config.kinds)


def pairs(config: "ZPPOConfig") -> bool:
    return any(METHODS[kind].fewest_candidates == 2 for kind in config.kinds)


def teacher_writes(config: "ZPPOConfig") -> bool:
    return candidates(config) or config.writes_hint


def builds(kind: Kind) -> Used:
    return lambda config: kind in config.kinds


class ReplayConfig(Group):
    """The prompt replay buffer B (Sec. 3; Algorithm 1, steps 1 and 6)."""

    enable: bool = key(True, paper="the dagger of the methods' names", used=lambda config: True)
    """Replay hard prompts. false stores nothing and replays nothing."""

    fraction: float = key(0.25, ge=0.0, le=1.0, paper="rho_replay, Table 8")
    """Replayed prompts per new prompt of a step; fewer while the buffer is small."""

    capacity: int = key(10_000, ge=1, paper="Table 8")
    """Prompts that the buffer holds at most. The oldest is evicted first."""

    weights: Literal["uniform", "entry_accuracy", "visits"] = key("uniform", paper="uniform in Algorithm 1, step 1")
    """How replayed prompts are drawn from the buffer. Beyond the paper, entry_accuracy prefers prompts that were nearly
    solved when they came in, and visits those that were replayed least."""


class ReformulationConfig(Group):
    """What hard questions become: BCQ and NCQ, or one of the rival groups that the teacher helps (App. D.2)."""

    enable: bool = key(True, used=lambda config: True)
    """Build reformulated questions. false never asks the teacher for them."""

    fraction: float = key(0.25, ge=0.0, le=1.0, paper="rho_aug, Table 8; Algorithm 1, steps 3 and 5")
    """The cap on hard questions kept, and on reformulated ones, per new prompt of a step."""

    pre_cap: PreCap = key("hard", paper="hard in Algorithm 1, step 3; admissible in App. C (a)")
    """What the cap on kept questions counts: all hard questions, or those that admit an instance. Without NCQ, hard
    questions that the teacher did not solve take places in the first reading and none in the second."""

    bcq: bool = key(True, paper="Algorithm 1, step 4; Fig. 17", used=builds(Kind.BCQ))
    """Build BCQ: a hard question with one correct teacher rollout and one wrong student rollout."""

    ncq: bool = key(True, paper="Algorithm 1, step 4; Fig. 18", used=builds(Kind.NCQ))
    """Build NCQ: a hard question with all its wrong student rollouts."""

    hint: bool = key(False, paper="Alg. 5, Fig. 19", used=builds(Kind.HINT))
    """Instead of BCQ: a hint in the prompt, which the teacher writes from one correct rollout of its own. One that
    gives the answer away is dropped and counted."""

    prefix: bool = key(False, paper="Alg. 6", used=builds(Kind.PREFIX))
    """Instead of BCQ: the beginning of one correct teacher rollout opens the response, outside the loss."""

    prefix_fraction: float = key(0.4, gt=0.0, le=0.9, paper="alpha, Alg. 6", used=builds(Kind.PREFIX))
    """The share of the teacher rollout's tokens that opens the response."""

    worked: bool = key(False, used=builds(Kind.WORKED))
    """Instead of BCQ, beyond the paper: the data row's own worked solution (`extra_info.solution`) beside one wrong
    student rollout. It asks no teacher; docs/method/add-your-own.md shows how it is made."""

    schedule: Literal["same_step", "next_step"] = key("same_step", paper="same_step in Algorithm 1, step 5")
    """When reformulated questions are rolled out: in the step that built them, or, beyond the paper, with the plain
    prompts of the next one and by its policy, so that a step has one phase of generation instead of two."""

    max_candidate_tokens: int = key(512, ge=1, paper="Table 8", used=candidates)
    """Tokens of one candidate in a prompt at most, unless `zppo.compression.mode` is none."""


class CompressionConfig(Group):
    """How a rollout becomes a candidate (Fig. 16)."""

    mode: Literal["teacher", "truncate", "none"] = key("teacher", paper="Fig. 16, Table 8")
    """teacher takes the teacher's summary, or the bounded tail of the response where that fails; truncate takes the
    bounded tail; none takes the whole response, which the context alone then bounds."""

    max_tokens: int = key(512, ge=1, paper="Table 8", used=teacher_writes)
    """New tokens that the teacher may write for one summary, or one hint."""

    thinking: bool = key(False, used=teacher_writes)
    """Let the chat template open with reasoning before a summary or hint; it counts in `max_tokens`. What does not come
    to the end of its thoughts is no summary."""

    attempts: int = key(3, ge=1, used=candidates)
    """Summaries of one response that the teacher is asked for at most, each with a seed of its own: another one where
    there was none, it had another answer, or it was too long. Only then the end of the response stands in. At
    temperature 0 one is asked for."""

    mixed_forms: Literal["drop", "fall_back", "show"] = key("drop", used=pairs)
    """What becomes of a BCQ that would show a summary beside a response's own end, which would tell them apart: drop
    leaves it out, and its place in the step stays empty; fall_back shows the ends of both; show shows it all the
    same."""


class DistillationConfig(Group):
    """Learning the teacher's distributions instead of rewards: per-token Jensen-Shannon divergence (Algs. 2 and 3)."""

    mode: Literal["none", "off_policy", "on_policy"] = key("none", paper="Algs. 2 and 3")
    """off_policy learns from fresh correct teacher rollouts of every prompt, on_policy from the student's own plain
    rollouts, scored by the teacher. Student and teacher must share one vocabulary."""

    topk: int | None = key(64, ge=1)
    """Most likely tokens of the teacher at each position; the rest of the mass is one bucket. null takes the whole
    vocabulary: the exact divergence, for small vocabularies."""


class TeacherConfig(Group):
    """The frozen teacher: its servers, its sampling, and what happens when it fails."""

    path: str | None = key(None, paper="pi_T, Table 8")
    """Local folder or hub id; with `base_url` the name under which the model is served there. Needed while anything
    asks the teacher."""

    base_url: str | None = None
    """An OpenAI-compatible endpoint that serves the teacher, such as http://host:8000/v1; null starts servers of our
    own. It gives chat completions only, so it will not do for distillation."""

    api_key_env: str = "ZPPO_TEACHER_API_KEY"
    """Environment variable that holds the endpoint's key, where it wants one. The key is read from the environment of
    the process that starts the run and is never written anywhere."""

    openai_fields_only: bool = False
    """Send the endpoint only what OpenAI's own API has, for services that refuse the rest: no top-k, min-p, repetition
    penalty and `chat_template_kwargs`. The server's defaults then hold, for vLLM the model's generation_config.json."""

    more: Annotated[list[str], DescribedAs("a list of texts such as [a,b]")] = key(
        [], used=lambda config: config.asks_teacher
    )
    """Further teachers, beyond the paper: a question that one does not solve goes to the next. `path` is asked first,
    and compresses; each gets a pool of its own, of `n_gpus_per_node` x `nnodes`."""

    n_rollouts: int = key(4, ge=1, paper="G_T, Table 8", used=lambda config: config.asks_teacher)
    """Fresh teacher rollouts for each question that it is asked."""

    n_gpus_per_node: int = key(2, ge=1, paper="Table 8")
    """Accelerators of each node that serve the teacher; the student has `trainer.n_gpus_per_node` others."""

    nnodes: int = key("${trainer.nnodes}", ge=1, paper="Table 8")
    """Nodes of the teacher's pool."""

    temperature: float = key(1.0, ge=0.0, paper="Table 8")
    """Sampling temperature of teacher rollouts and of compression."""

    top_p: float = key(1.0, gt=0.0, le=1.0, paper="Table 8")
    """Nucleus of teacher rollouts."""

    top_k: int = key(-1, ge=-1, paper="Table 8")
    """Teacher rollouts draw from so many most likely tokens; -1 takes the whole vocabulary."""

    response_length: int = key("${data.max_response_length}", ge=1, paper="Table 8")
    """New tokens of one teacher rollout at most."""

    request_timeout_s: float = key(1800.0, gt=0.0)
    """Seconds that one request may take, waiting in the server's queue included."""

    step_timeout_s: float = key(3600.0, gt=0.0)
    """Seconds that the teacher work of one step may take; what is late then is dropped and counted."""

    max_retries: int = key(2, ge=0)
    """Further tries of a request that failed or timed out."""

    max_concurrent_requests: int = key(1024, ge=1)
    """Requests in flight at once, over all agent-loop workers."""

    dead_after_failures: int = key(8, ge=1)
    """Failures in a row after which the teacher counts as dead: steps go on with NCQ and truncated candidates only."""

    retry_after_s: float = key(300.0, gt=0.0)
    """Seconds until a dead teacher is tried again."""

    inference: dict[Any, Any] = key(
        {
            "tensor_model_parallel_size": 1,
            "gpu_memory_utilization": 0.85,
            "max_num_seqs": 256,
            "max_model_len": "${actor_rollout_ref.rollout.max_model_len}",
        },
        paper="tensor parallel size 1, Table 8",
    )
    """Settings of verl's rollout config for the teacher's servers, on top of verl's teacher defaults. `max_num_seqs` is
    not verl's 1024, since vLLM does not start with more than the blocks that a model with linear attention has: about
    700 for a 27B of 8 bits on 80 GB."""


class RewardConfig(Group):
    """The rule that compares a boxed answer with the gold one, in training, validation and the evaluation alike."""

    grader: Literal["paper", "careful"] = key("paper", paper="mathruler in two passes, Table 8")
    """paper is mathruler, then once more without marks of degree and percent; it takes many wrong answers for right
    (`hour` for `second`) and right ones for wrong (`x²` for `x^2`). careful, beyond the paper, keeps structure and
    order, and forgives forms; docs/guides/data.md compares the two. A reward function of your own does as it likes."""


class JudgeConfig(Group):
    """The teacher as judge (App. B.2, App. D.1): of free-form rows, whose `extra_info.answer_type` is `free_form`, or
    of all that the reward function leaves open."""

    enable: bool = key(False, paper="App. D.1")
    """Ask the judge, for which the first teacher is started also where the method needs none. Needed while the data
    have free-form rows."""

    route: Literal["free_form", "unresolved"] = key("free_form", paper="free_form in App. D.1")
    """Who is judged in training. free_form: free-form rows, instead of by the reward function. unresolved: the reward
    function goes first on every row, and the judge gets each response that it does not call right."""

    validation_route: Literal["free_form", "unresolved"] = key("free_form", paper="unresolved in App. B.2")
    """Who is judged in validation, where the reward function always goes first. free_form: responses to free-form rows
    that it does not call right. unresolved: such responses to any row, as the paper evaluates."""

    response: Literal["extracted", "whole"] = key("extracted", paper="either, App. B.2")
    """What the judge sees of a response. extracted: the boxed answer, or the response with its reasoning where no box
    can be read. whole: always the response with its reasoning."""

    template: str | None = key(None, paper="Fig. 9, in other words")
    """File with a template of your own for the judge's request, UTF-8, with the placeholders {question}, {response},
    {gold} and, if you like, {options}. All nodes must reach it. null takes ours."""

    max_tokens: int = key(512, ge=1, paper="App. D.1")
    """New tokens of one verdict at most. Its temperature is 0 and its top-p 1."""

    max_answer_tokens: int = key("${data.max_response_length}", ge=1)
    """Of a response that it sees with its reasoning the judge sees the end, so many of the student's tokens."""

    thinking: bool = False
    """Let the chat template open with reasoning, which counts in `max_tokens`. false passes `enable_thinking=false` to
    the template, to an endpoint as `chat_template_kwargs` (see `zppo.teacher.openai_fields_only`)."""


class ValidationConfig(Group):
    """What verl's `rollout.val_kwargs` has no key for (App. B.2)."""

    presence_penalty: float = key(1.5, ge=-2.0, le=2.0, paper="App. B.2")
    """Taken from the logit of every token that a validation response has already; 0 switches it off. Training samples
    without any penalty."""


class TimeoutsConfig(Group):
    """Limits on waiting: a run stops with a message instead of hanging."""

    start_s: float = key(3600.0, gt=0.0, le=1e8)
    """Seconds until the engine and the servers of student and teacher are ready, reading the data not counted."""

    rollout_s: float = key(3600.0, gt=0.0)
    """Seconds from submission until a group of rollouts, plain or reformulated, must be complete."""

    step_s: float = key(10_800.0, gt=0.0)
    """Seconds that the generation of a whole step may take."""

    validation_s: float = key(10_800.0, gt=0.0)
    """Seconds that one validation may take."""

    engine_s: float = key(21_600.0, gt=0.0, le=1e8)
    """Seconds that one call of the training engine may take: log-probs, the updates of a step, weights to the servers,
    a checkpoint."""


class DataConfig(Group):
    """Data rows: images, and columns beyond verl's."""

    min_pixels: int | None = key(None, ge=1)
    """Width x height of an image at least, in training and validation: a smaller one is enlarged before the processor,
    which has limits of its own. A row's own `min_pixels` comes first. The paper evaluates with 262144."""

    max_pixels: int | None = key(None, ge=1)
    """Width x height of an image at most; a larger one is reduced, in its proportions. The paper evaluates with
    1310720."""

    prompt_id_key: str = "prompt_id"
    """Column with an id that is unique over the training files: a prompt lives in the buffer under it. Without such a
    column, a hash of question and answer serves."""


class LoggingConfig(Group):
    """Files that a run writes beside console and TensorBoard."""

    rollouts_dir: str | None = "${trainer.default_local_dir}/rollouts"
    """Folder of one JSONL file a step: question, prompt kind, candidates, responses, rewards. null writes none."""

    metrics_file: str | None = "${trainer.default_local_dir}/metrics.jsonl"
    """JSONL file with the metrics of every step. null writes none."""

    text_limit: int | None = key(65_536, ge=1)
    """Characters of one text in the rollout files at most; null for no limit."""


class ExportConfig(Group):
    """What is written at the end of a run."""

    hf_model: bool = True
    """Write the final student as a Hugging Face checkpoint."""


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

    dynamic_sampling: bool = key(False, used=rewards)
    """Beyond the paper: groups whose rollouts still have one reward after BCQ and NCQ were tried do not enter the
    update. They have no advantage, but their tokens would count in the loss's mean; buffer and books see them."""

    dry_run: bool = False
    """Check and plan the run, print one page, and stop: status 0 when it would run, 2 when something would fail."""

    hardware: str | None = None
    """Hardware to plan for: nodes x accelerators of a node x GB of memory of each, such as 8x8x80. null looks at the
    machine or Ray cluster at hand."""

    replay: ReplayConfig = key(ReplayConfig(), used=lambda config: config.replay.enable)
    reformulation: ReformulationConfig = key(ReformulationConfig(), used=lambda config: config.reformulation.enable)
    compression: CompressionConfig = key(CompressionConfig(), used=candidates)
    distillation: DistillationConfig = key(DistillationConfig(), used=lambda config: config.distillation.mode != "none")
    teacher: TeacherConfig = key(TeacherConfig(), used=lambda config: config.needs_teacher)
    reward: RewardConfig = RewardConfig()
    judge: JudgeConfig = JudgeConfig()
    validation: ValidationConfig = ValidationConfig()
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
