"""Typed schema of the `zppo:` node; its defaults are Table 8 of the paper.

`verl/trainer/config/zppo_trainer.yaml` states the same defaults for Hydra, and a test keeps the two equal. The node in
YAML is untyped on purpose: a bad value then reaches `validate_zppo`, which names the key and says what to do.
Defaults such as `${trainer.nnodes}` are OmegaConf interpolations, resolved when the node is validated inside a config.
"""

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from recipe.zppo.errors import ConfigError
from recipe.zppo.selection import Kind


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
    """New tokens that the teacher may write for one summary."""


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
    """Local folder or hub id. Required while anything asks the teacher."""

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
            "max_model_len": "${actor_rollout_ref.rollout.max_model_len}",
        }
    )
    """Settings of verl's rollout config for the teacher's servers, on top of verl's teacher defaults."""


@dataclass(kw_only=True)
class TimeoutsConfig:
    """Limits on waiting: a run stops with a message instead of hanging."""

    rollout_s: float = bounded(3600.0, gt=0.0)
    """Seconds from submission until a group of rollouts, plain or reformulated, must be complete."""

    step_s: float = bounded(10_800.0, gt=0.0)
    """Seconds that the generation of a whole step may take."""

    validation_s: float = bounded(10_800.0, gt=0.0)
    """Seconds that one validation may take."""


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

    replay: ReplayConfig = field(default_factory=ReplayConfig)
    reformulation: ReformulationConfig = field(default_factory=ReformulationConfig)
    compression: CompressionConfig = field(default_factory=CompressionConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
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
        switches = {Kind.BCQ: chosen.bcq, Kind.HINT: chosen.hint, Kind.PREFIX: chosen.prefix, Kind.NCQ: chosen.ncq}
        return tuple(kind for kind, on in switches.items() if on and chosen.enable)

    @property
    def compresses(self) -> bool:
        """The teacher summarises candidates."""
        return self.compression.mode == "teacher" and bool({Kind.BCQ, Kind.NCQ} & set(self.kinds))

    @property
    def needs_teacher(self) -> bool:
        """Teacher servers are started: for rollouts, for summaries, or to score the student's."""
        asked = any(kind is not Kind.NCQ for kind in self.kinds)
        return asked or self.compresses or self.distillation.mode == "on_policy"

    @property
    def teacher_paths(self) -> list[str]:
        """All teachers, in the order in which they are asked."""
        return [self.teacher.path, *self.teacher.more] if self.needs_teacher else []


def validate_zppo(node: DictConfig | Mapping[str, Any]) -> ZPPOConfig:
    """The typed `zppo:` node.

    Args:
        node: `config.zppo` of the composed config (interpolations reach the rest of the config), or a plain mapping.

    Raises:
        ConfigError: one line that names the full key; for an unknown key, a wrong type, a value out of range, or a
            combination that cannot work.
    """
    if isinstance(node, DictConfig):
        try:
            node = OmegaConf.to_container(node, resolve=True)
        except OmegaConfBaseException as error:
            raise ConfigError(f"zppo: {str(error).splitlines()[0]}") from error
    config = _build(ZPPOConfig, node, "zppo")
    _check_combinations(config)
    return config


def check_key(key: str) -> None:
    """Raise ConfigError when `key`, dotted and starting with `zppo`, is not in the schema."""
    cls: Any = ZPPOConfig
    path = "zppo"
    for part in key.split(".")[1:]:
        if not dataclasses.is_dataclass(cls):
            if typing.get_origin(cls) is dict:
                return
            raise ConfigError(f"{key}: {path} is a value, it has no keys of its own")
        hints = typing.get_type_hints(cls)
        if part not in hints:
            raise ConfigError(_unknown(part, path, hints))
        cls, path = hints[part], f"{path}.{part}"


def _build(cls: Any, node: Any, path: str) -> Any:
    """Instance of dataclass `cls` from a mapping; missing keys keep their defaults."""
    if not isinstance(node, Mapping):
        raise ConfigError(f"{path}: expected a group of keys, got {_show(node)}")
    hints = typing.get_type_hints(cls)
    for key in node:
        if key not in hints:
            raise ConfigError(_unknown(key, path, hints))
    values = {}
    for spec in dataclasses.fields(cls):
        if spec.name in node:
            key, value = f"{path}.{spec.name}", node[spec.name]
            hint = hints[spec.name]
            values[spec.name] = (
                _build(hint, value, key) if dataclasses.is_dataclass(hint) else _value(hint, spec.metadata, value, key)
            )
    return cls(**values)


def _value(hint: Any, bounds: Mapping[str, float | None], value: Any, key: str) -> Any:
    """`value` checked against a leaf's type and bounds; integers are accepted where a number is asked for."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None:
        if type(None) in options:
            return None
        raise ConfigError(f"{key}: must not be null; set {_describe(options[0])}")
    kind = options[0]
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        if value not in choices:
            raise ConfigError(f"{key}: {_show(value)} is not one of {', '.join(choices)}")
        return value
    if typing.get_origin(kind) is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{key}: expected a group of keys, got {_show(value)}")
        return dict(value)
    if typing.get_origin(kind) is list:
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise ConfigError(f"{key}: expected a list of texts such as [a,b], got {_show(value)}")
        return list(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)) or value == "":
        raise ConfigError(f"{key}: expected {_describe(kind)}, got {_show(value)}")
    broken = [text for text, holds in _bounds(bounds, value) if not holds]
    if broken:
        allowed = " and ".join(text for text, _ in _bounds(bounds, value))
        raise ConfigError(f"{key}: {value} is out of range; it must be {allowed}")
    return value


def _bounds(bounds: Mapping[str, float | None], value: Any) -> Iterator[tuple[str, bool]]:
    if bounds.get("ge") is not None:
        yield f"at least {bounds['ge']}", value >= bounds["ge"]
    if bounds.get("gt") is not None:
        yield f"greater than {bounds['gt']}", value > bounds["gt"]
    if bounds.get("le") is not None:
        yield f"at most {bounds['le']}", value <= bounds["le"]


def _check_combinations(config: ZPPOConfig) -> None:
    reformulation, mode = config.reformulation, config.distillation.mode
    helped = [name for name in ("bcq", "hint", "prefix") if getattr(reformulation, name)]
    if reformulation.enable and not helped and not reformulation.ncq:
        raise ConfigError(
            "zppo.reformulation.enable: nothing to build with bcq, ncq, hint and prefix all false; "
            "set zppo.reformulation.enable=false, or one of the four to true"
        )
    if reformulation.enable and len(helped) > 1:
        raise ConfigError(
            f"zppo.reformulation.{helped[1]}: {' and '.join(helped)} are rivals, a hard question gets one of them; "
            f"set zppo.reformulation.{helped[0]}=false or zppo.reformulation.{helped[1]}=false"
        )
    if mode != "none" and reformulation.enable:
        raise ConfigError(
            f"zppo.distillation.mode: {mode} has no reformulated questions, nothing but loss and sequences differs; "
            "set zppo.reformulation.enable=false (method=off_distill and the like do)"
        )
    if mode == "off_policy" and reformulation.schedule == "next_step":
        raise ConfigError(
            "zppo.reformulation.schedule: next_step would only delay the teacher's sequences by a step; "
            "set it to same_step for off-policy distillation"
        )
    if mode != "none" and config.dynamic_sampling:
        raise ConfigError(
            "zppo.dynamic_sampling: a distillation loss uses no advantages, trivial groups teach as well; "
            "set it to false, or zppo.distillation.mode=none"
        )
    if config.needs_teacher and config.teacher.path is None:
        raise ConfigError(
            "zppo.teacher.path: this method needs a teacher; set it to a model folder or hub id, "
            "or choose one without (method=grpo_replay, method=grpo)"
        )
    if config.teacher.more and not any(kind is not Kind.NCQ for kind in config.kinds):
        raise ConfigError(
            "zppo.teacher.more: nothing asks a second teacher here; leave it empty, or build BCQ, hints or prefixes"
        )
    if len(set(config.teacher_paths)) < len(config.teacher_paths):
        raise ConfigError("zppo.teacher.more: a teacher is listed twice; name each once")
    if config.teacher.request_timeout_s > config.teacher.step_timeout_s:
        raise ConfigError(
            f"zppo.teacher.request_timeout_s: {config.teacher.request_timeout_s} is longer than "
            f"zppo.teacher.step_timeout_s={config.teacher.step_timeout_s}; a request can't outlast its step"
        )
    if config.timeouts.rollout_s > config.timeouts.step_s:
        raise ConfigError(
            f"zppo.timeouts.rollout_s: {config.timeouts.rollout_s} is longer than "
            f"zppo.timeouts.step_s={config.timeouts.step_s}; a group can't outlast its step"
        )
    if config.teacher.top_k == 0:
        raise ConfigError("zppo.teacher.top_k: 0 samples from nothing; set -1 for the whole vocabulary, or at least 1")


def _unknown(key: Any, path: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(str(key), list(known), n=1)
    hint = f"did you mean {path}.{close[0]}?" if close else f"known keys: {', '.join(known)}"
    return f"{path}.{key}: unknown key; {hint}"


def _describe(kind: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    return names.get(kind, "one of " + ", ".join(map(str, typing.get_args(kind))))


def _show(value: Any) -> str:
    """Short one-line form of a value for a message."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
