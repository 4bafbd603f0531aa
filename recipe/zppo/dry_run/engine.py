"""How the student is trained and both models are served, read from verl's keys: sizes of parallel groups, and types."""

import copy
import math
from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf, open_dict

from recipe.zppo.config.model_shape import DTYPE_BYTES
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.on_verl.teacher_inference import PARALLEL_SIZES, inference_of

ACTOR = "actor_rollout_ref.actor"
ROLLOUT = "actor_rollout_ref.rollout"
TEACHER = "zppo.teacher.inference"
ENGINES = ("fsdp", "fsdp2", "megatron")
OWN_STAGES = (
    "num_layers_in_first_pipeline_stage",
    "num_layers_in_last_pipeline_stage",
    "pipeline_model_parallel_layout",
    "account_for_embedding_in_pipeline_split",
    "account_for_loss_in_pipeline_split",
)


@dataclass(frozen=True)
class Training:
    """The student's training engine on ``ranks`` accelerators. Bytes are those of one parameter."""

    engine: str
    ranks: int
    tensor: int
    pipeline: int
    context: int
    """Context parallel size of Megatron, Ulysses' sequence parallel size of FSDP: ranks that share a sequence."""
    shards: int
    """Ranks over which weights, gradients and states are split by FSDP; of Megatron's states by data parallel rank."""
    weight: int
    gradient: int
    state: float
    """Adam's moments, and beside them the fp32 copy of the weights (Megatron) or the buffer of Kahan summation."""
    param_offload: bool
    optimizer_offload: bool
    lora_rank: int
    checkpointing: bool
    """Activations are computed again in the backward pass."""
    fused_head: bool
    dynamic: bool
    tokens: int | None
    """Tokens of a micro batch on one rank at most; None where micro batches are counted in sequences."""
    micro_batch: int | None
    tokens_key: str
    own_stages: bool = False
    """The layers of Megatron's pipeline stages are set by hand."""

    @property
    def data_parallel(self) -> int:
        return self.ranks // (self.tensor * self.pipeline * self.context)

    @property
    def divisor(self) -> int:
        """Ranks that one replica of the model takes, which must divide all of them."""
        return self.tensor * self.pipeline * self.context


@dataclass(frozen=True)
class Serving:
    """Servers of one model on ``ranks`` accelerators."""

    name: str
    key: str
    ranks: int
    tensor: int
    replica: int
    """Accelerators of one replica: tensor x data x pipeline parallel size."""
    utilization: float
    max_model_len: int | None
    batched_tokens: int
    sequences: int
    element: int
    """Bytes of a number in the cache."""
    frees_cache: bool
    """Weights and cache leave the accelerator between generation phases."""
    eager: bool = False
    """No CUDA graphs."""
    scores: bool = False
    """Log-probs of whole prompts are asked for (distillation)."""


def training_of(config: DictConfig) -> Training:
    actor, model = config.actor_rollout_ref.actor, config.actor_rollout_ref.model
    ranks = config.trainer.n_gpus_per_node * config.trainer.nnodes
    lora = OmegaConf.select(model, "lora.rank", default=0) or 0
    common = {
        "ranks": ranks,
        "lora_rank": lora if lora > 0 else int(model.get("lora_rank", 0) or 0),
        "fused_head": bool(model.get("use_fused_kernels", False)),
        "dynamic": bool(actor.use_dynamic_bsz),
        "tokens": actor.ppo_max_token_len_per_gpu if actor.use_dynamic_bsz else None,
        "micro_batch": None if actor.use_dynamic_bsz else actor.ppo_micro_batch_size_per_gpu,
        "tokens_key": f"{ACTOR}.ppo_max_token_len_per_gpu",
    }
    if actor.strategy == "megatron":
        return _megatron(actor, **common)
    fsdp = actor.fsdp_config
    element = DTYPE_BYTES.get(str(fsdp.model_dtype or "fp32"), 4)
    size = int(fsdp.get("fsdp_size", -1) or -1)
    return Training(
        engine=str(actor.strategy),
        tensor=1,
        pipeline=1,
        context=int(fsdp.get("ulysses_sequence_parallel_size", 1) or 1),
        shards=ranks if size < 0 or size >= ranks else size,
        weight=element,
        # FSDP keeps gradients, and Adam its moments and buffers, in the type of the weights that it is given.
        gradient=element,
        state=(3 if config.zppo.optimizer == "anyprecision" else 2) * element,
        param_offload=bool(fsdp.param_offload or fsdp.get("offload_policy", False)),
        optimizer_offload=bool(fsdp.optimizer_offload or fsdp.get("offload_policy", False)),
        checkpointing=bool(model.enable_gradient_checkpointing),
        **common,
    )


def _megatron(actor: DictConfig, **common: object) -> Training:
    engine, optim = actor.megatron, actor.optim
    tensor, pipeline = engine.tensor_model_parallel_size, engine.pipeline_model_parallel_size
    context = engine.context_parallel_size
    width = max(1, common["ranks"] // (tensor * pipeline))
    ddp, override = engine.get("override_ddp_config") or {}, engine.get("override_transformer_config") or {}
    precise = bool(optim.get("use_precision_aware_optimizer", False))
    moments = [DTYPE_BYTES.get(str(optim.get(f"exp_avg{part}_dtype", "fp32")), 4) for part in ("", "_sq")]
    return Training(
        engine="megatron",
        tensor=tensor,
        pipeline=pipeline,
        context=context,
        shards=width if engine.get("use_distributed_optimizer", True) else 1,
        weight=2,
        gradient=4 if ddp.get("grad_reduce_in_fp32", True) else 2,
        state=4 + (sum(moments) if precise else 8),
        param_offload=bool(engine.param_offload),
        optimizer_offload=bool(engine.optimizer_offload),
        checkpointing=OmegaConf.select(engine, "override_transformer_config.recompute_granularity") == "full",
        own_stages=any(override.get(name) for name in OWN_STAGES),
        **common,
    )


def student_serving(config: DictConfig) -> Serving:
    rollout = config.actor_rollout_ref.rollout
    ranks = config.trainer.n_gpus_per_node * config.trainer.nnodes
    return _serving("student", ROLLOUT, rollout, ranks, bool(rollout.free_cache_engine))


def teacher_serving(config: DictConfig, zppo: ZPPOConfig) -> Serving:
    """The servers of one teacher."""
    defaults = config.distillation.teacher_models.teacher_model.inference
    node = copy.deepcopy(defaults)
    with open_dict(node):
        node.merge_with(inference_of(config, zppo))
    ranks, scores = zppo.teacher.n_gpus_per_node * zppo.teacher.nnodes, zppo.distillation.mode != "none"
    return _serving("teacher", TEACHER, node, ranks, False, scores)


def _serving(name: str, key: str, node: DictConfig, ranks: int, frees_cache: bool, scores: bool = False) -> Serving:
    sizes = [int(node.get(size, 1) or 1) for size in PARALLEL_SIZES]
    engine = OmegaConf.select(node, "engine_kwargs.vllm.kv_cache_dtype")
    return Serving(
        name=name,
        key=key,
        ranks=ranks,
        tensor=sizes[0],
        replica=math.prod(sizes),
        utilization=float(node.gpu_memory_utilization),
        max_model_len=node.get("max_model_len"),
        batched_tokens=int(node.get("max_num_batched_tokens") or 8192),
        sequences=int(node.get("max_num_seqs") or 256),
        element=1 if engine and "fp8" in str(engine) else 2,
        frees_cache=frees_cache,
        eager=bool(node.get("enforce_eager", False)),
        scores=scores,
    )
