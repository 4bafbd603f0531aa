"""Memory of an accelerator, in bytes: what is certain, and what is estimated.

Student, update phase (certain): ``P x (weight + gradient + state) / shards``. FSDP splits all three over its shards;
Megatron splits weights and gradients over tensor and pipeline ranks, and states over data-parallel ranks too. With
LoRA only the adapters have gradients and states. Estimated on top: one gathered layer and the embeddings (FSDP),
``tokens x layers x 2 hidden`` of checkpointed activations with one layer's full ones (all layers' without
checkpointing), and ``4 x tokens x vocabulary`` for logits and their gradient unless the head is fused.

Servers: ``utilization x memory`` holds weights, a workspace (estimated: `workspace`) and the cache. A sequence of full
length takes ``tokens x 2 x attention layers x key-value heads x head size x 2`` bytes, and a constant state in layers
of linear attention. Colocated, what the trainer keeps on the accelerator must fit beside ``utilization x memory``.
"""

import math
from dataclasses import dataclass

from recipe.zppo.config.model_shape import ModelShape
from recipe.zppo.dry_run.engine import Serving, Training

RUNTIME = 1_500_000_000
"""CUDA context, NCCL buffers and what a sleeping server leaves behind: about this much of each accelerator."""


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes on one accelerator while the student is updated."""

    weights: int
    gradients: int
    states: int
    gathered: int
    activations: int
    logits: int
    beside: int
    """What the student's own servers keep meanwhile."""

    @property
    def certain(self) -> int:
        return self.weights + self.gradients + self.states

    @property
    def estimate(self) -> int:
        return self.certain + self.gathered + self.activations + self.logits + self.beside


@dataclass(frozen=True)
class ServingMemory:
    """Bytes on one accelerator while a model is served. `sequences` of full length fit the cache of one replica."""

    budget: int
    weights: int
    workspace: int
    cache: int
    per_sequence: int
    sequences: int
    resident: int
    """What the trainer keeps on the same accelerator."""
    at_start: int
    """Of it, what is there before the first update."""
    blocks: int | None = None
    """Blocks of the cache, where layers of linear attention share it."""
    scoring: int = 0
    """Logits of one chunk while it scores, beyond what vLLM measures and keeps below its share."""


def parameters_on_rank(shape: ModelShape, training: Training) -> float:
    """Parameters whose weights one rank holds."""
    split = training.tensor * training.pipeline if training.engine == "megatron" else training.shards
    return shape.parameters / split


def _learnt_on_rank(shape: ModelShape, training: Training) -> float:
    """Parameters of which one rank has gradients; with LoRA those of the adapters alone."""
    held = parameters_on_rank(shape, training)
    return held * training.lora_rank * shape.linear_edges / shape.parameters if training.lora_rank else held


def _states_on_rank(shape: ModelShape, training: Training) -> float:
    """Bytes of Adam's states on one rank."""
    spread = training.shards if training.engine == "megatron" else 1
    return _learnt_on_rank(shape, training) * training.state / spread


def training_memory(shape: ModelShape, training: Training, serving: Serving, memory: int) -> TrainingMemory:
    """The update phase of the student, on an accelerator of `memory` bytes."""
    held, learnt = parameters_on_rank(shape, training), _learnt_on_rank(shape, training)
    tokens = training.tokens or (training.micro_batch or 1) * (serving.max_model_len or 0) // training.context
    head = 0 if training.fused_head else 4 * tokens * shape.vocab // training.tensor
    megatron = training.engine == "megatron"
    return TrainingMemory(
        weights=math.ceil(held * training.weight + (learnt * training.weight if training.lora_rank else 0)),
        gradients=math.ceil(learnt * training.gradient),
        states=math.ceil(_states_on_rank(shape, training)),
        gathered=0 if megatron or training.shards == 1 else 2 * (_layer(shape) * 2 + _outside(shape)),
        activations=activations(shape, training, tokens),
        logits=head,
        beside=RUNTIME if serving.frees_cache else RUNTIME + math.floor(serving.utilization * memory),
    )


def activations(shape: ModelShape, training: Training, tokens: int) -> int:
    """Activations of a micro batch of `tokens` tokens on a rank, about."""
    layers = math.ceil(shape.layers / training.pipeline)
    whole = shape.activation_bytes_per_token() * tokens // training.tensor
    if training.checkpointing:
        return layers * 2 * shape.hidden * tokens // training.tensor + 2 * whole
    return layers * whole


def _layer(shape: ModelShape) -> int:
    """Parameters of one layer, about."""
    return (shape.parameters - shape.vision_parameters - _outside(shape)) // shape.layers


def _outside(shape: ModelShape) -> int:
    """Parameters of embeddings and head, which FSDP gathers together with whatever is in no layer."""
    return shape.vocab * shape.hidden * (1 if shape.tied else 2)


def workspace(shape: ModelShape, serving: Serving) -> int:
    """Peak of a server's forward pass and sampler, about: one layer's activations of a full batch, and logits."""
    layer = 2 * serving.batched_tokens * (4 * shape.hidden + 2 * shape.intermediate // serving.tensor)
    return layer + 6 * serving.sequences * shape.vocab + RUNTIME


def resident(shape: ModelShape, training: Training) -> tuple[int, int]:
    """Bytes that the trainer keeps on the accelerator while its servers work: before the first update, and after."""
    weights = 0 if training.param_offload else math.ceil(parameters_on_rank(shape, training) * training.weight)
    states = 0 if training.optimizer_offload else math.ceil(_states_on_rank(shape, training))
    # Adam's moments come with the first update. Megatron's gradient buffers are there from the start, and leave the
    # accelerator with the weights only (verl: offload_megatron_model_to_cpu).
    if training.engine == "megatron" and not training.param_offload:
        weights += math.ceil(_learnt_on_rank(shape, training) * training.gradient)
    return weights, weights + states


def serving_memory(shape: ModelShape, serving: Serving, memory: int, held: tuple[int, int] = (0, 0)) -> ServingMemory:
    """One replica's share of an accelerator of `memory` bytes, beside `held` bytes of a trainer."""
    budget = math.floor(serving.utilization * memory)
    weights = math.ceil(shape.weight_bytes / serving.tensor)
    space = workspace(shape, serving)
    cache = max(0, budget - weights - space)
    tokens = serving.max_model_len or shape.positions or 0
    each = shape.cache_bytes(tokens, serving.tensor, serving.element)
    block = shape.block_bytes(serving.tensor, serving.element)
    return ServingMemory(
        budget,
        weights,
        space,
        cache,
        each,
        cache // each if each else 0,
        held[1],
        held[0],
        blocks=cache // block if block else None,
        # In bf16, and twice in fp32: ATen converts to fp32 by a copy.
        scoring=10 * serving.batched_tokens * shape.vocab // serving.tensor if serving.scores else 0,
    )


@dataclass(frozen=True)
class HostMemory:
    """Bytes of a node's main memory."""

    offloaded: int
    """The trainer's weights and states while they are not on the accelerators."""
    loading: int
    """While the student is loaded: every rank of a model with tied embeddings reads all of it (verl builds only the
    others without memory)."""


def host_memory(shape: ModelShape, training: Training, ranks_of_node: int) -> HostMemory:
    """What the student's ranks on one node ask of its main memory."""
    each = parameters_on_rank(shape, training) * training.weight if training.param_offload else 0
    each += _states_on_rank(shape, training) if training.optimizer_offload else 0
    copies = ranks_of_node if shape.tied and training.engine != "megatron" else 1
    return HostMemory(math.ceil(each * ranks_of_node), copies * shape.parameters * training.weight)


def checkpoint_bytes(shape: ModelShape, training: Training, contents: list[str]) -> int:
    """One checkpoint, over all ranks: weights and Adam's moments as the engine holds them, and an HF copy if asked."""
    size = 0.0
    learnt = shape.parameters if not training.lora_rank else training.lora_rank * shape.linear_edges
    if "model" in contents:
        size += shape.parameters * training.weight
    if "optimizer" in contents:
        size += learnt * training.state
    if "hf_model" in contents:
        size += shape.parameters * 2
    return math.ceil(size)
