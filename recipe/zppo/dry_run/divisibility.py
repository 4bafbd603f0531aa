"""Sizes of parallel groups against accelerators, heads and batches: what verl, vLLM or Megatron assert much later."""

from collections.abc import Iterator
from dataclasses import dataclass

from recipe.zppo.config.model_shape import ModelShape
from recipe.zppo.dry_run.engine import ACTOR, ROLLOUT, Serving, Training


@dataclass(frozen=True)
class Batch:
    """Sequences of a step's update at most. verl pads a batch to a multiple of data-parallel ranks x updates."""

    groups: int
    group_size: int
    updates: int
    data_parallel: int

    @property
    def rows(self) -> int:
        return self.groups * self.group_size

    @property
    def padded(self) -> int:
        multiple = self.updates * self.data_parallel
        return -(-self.rows // multiple) * multiple

    @property
    def per_rank(self) -> int:
        """Sequences of one rank in one update."""
        return self.padded // (self.updates * self.data_parallel)


def training_problems(training: Training, shape: ModelShape | None, batch: Batch | None, longest: int) -> Iterator[str]:
    """What the student's engine would refuse; `longest` is the longest sequence in tokens."""
    megatron = training.engine == "megatron"
    size = "megatron.tensor_model_parallel_size" if megatron else "fsdp_config.ulysses_sequence_parallel_size"
    key = f"{ACTOR}.{size}"
    if training.ranks % training.divisor:
        sizes = "tensor x pipeline x context parallel size" if megatron else "the sequence parallel size"
        yield (
            f"{key}: {sizes} {training.divisor} does not divide the {training.ranks} accelerators of the student "
            "(trainer.n_gpus_per_node x trainer.nnodes); change one of them"
        )
    if not megatron and training.ranks % training.shards:
        yield (
            f"{ACTOR}.fsdp_config.fsdp_size: {training.shards} does not divide the student's {training.ranks} "
            "accelerators; set a divisor, or -1 for all"
        )
    if shape is not None:
        split = training.tensor if megatron else training.context
        yield from _head_problems(key, split, "the student's", shape, "; set one that is")
        if megatron and shape.layers % training.pipeline and not training.own_stages:
            yield (
                f"{ACTOR}.megatron.pipeline_model_parallel_size: {training.pipeline} does not divide the student's "
                f"{shape.layers} layers; set a divisor"
            )
    ranks = f" x {training.context} ranks of a sequence" if training.context > 1 else ""
    if training.dynamic and training.tokens * training.context < longest:
        yield (
            f"{training.tokens_key}: {training.tokens}{ranks} tokens of a micro batch do not hold the longest "
            f"sequence, {longest}; raise it to at least {-(-longest // training.context)}"
        )
    if batch is not None and training.micro_batch and batch.per_rank % training.micro_batch:
        yield (
            f"{ACTOR}.ppo_micro_batch_size_per_gpu: {training.micro_batch} does not divide the {batch.per_rank} "
            f"sequences that a rank has in an update of a full step; set {ACTOR}.use_dynamic_bsz=true, or 1"
        )


def _head_problems(key: str, split: int, who: str, shape: ModelShape, remedy: str = "") -> Iterator[str]:
    if shape.heads % split:
        yield f"{key}: {split} does not divide {who} {shape.heads} attention heads; set a divisor"
    elif shape.kv_heads % split and split % shape.kv_heads:
        yield f"{key}: {split} neither divides nor is a multiple of {who} {shape.kv_heads} key-value heads{remedy}"


def serving_problems(serving: Serving, shape: ModelShape | None, per_node: int, per_node_key: str) -> Iterator[str]:
    """What the servers of a model would refuse; `per_node` accelerators of each node serve it."""
    key = f"{serving.key}.tensor_model_parallel_size"
    if serving.ranks % serving.replica:
        if serving.key == ROLLOUT:  # the teacher's is among the checks of every run
            yield (
                f"{key}: replicas of {serving.replica} accelerators can't fill the student's {serving.ranks}; set a "
                "divisor"
            )
    elif per_node % serving.replica and serving.replica % per_node:
        yield (
            f"{key}: replicas of {serving.replica} accelerators would lie across nodes with {per_node} each; set a "
            f"divisor of {per_node} ({per_node_key})"
        )
    if shape is None:
        return
    split, who = serving.tensor, f"the {serving.name}'s"
    yield from _head_problems(key, split, who, shape)
    if shape.linear and (shape.linear.key_heads % split or shape.linear.value_heads % split):
        yield (
            f"{key}: {split} does not divide {who} {shape.linear.key_heads} and {shape.linear.value_heads} heads of "
            "linear attention; set a divisor"
        )
    if shape.block and split > 1 and shape.intermediate // split % shape.block[0]:
        yield (
            f"{key}: {shape.intermediate} / {split} is no multiple of {shape.block[0]}, the block of {who} quantised "
            "weights; set a smaller one"
        )
