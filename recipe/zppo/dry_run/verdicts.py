"""What numbers mean, one line each.

Memory is warned of and never a problem: its formulas have not been compared with an accelerator's own numbers yet. A
disk that is too small for what is certain is a problem where it is the one that would be written to.
"""

from recipe.zppo.dry_run.context import Contexts
from recipe.zppo.dry_run.disk import Disk
from recipe.zppo.dry_run.engine import ACTOR, ROLLOUT, Serving, Training
from recipe.zppo.dry_run.memory import RUNTIME, HostMemory, ServingMemory, TrainingMemory

_NEARLY = 0.9
"""Share of an accelerator beyond which an estimate gives no room for error."""

Verdicts = tuple[list[str], list[str]]
"""Problems and warnings."""


def gb(size: float) -> str:
    """Bytes as GB."""
    return f"{size / 1e9:.1f} GB" if size < 1e13 else f"{size / 1e12:.1f} TB"


def _engine_node(training: Training) -> str:
    """The node with the engine's offload switches."""
    return f"{ACTOR}.megatron" if training.engine == "megatron" else f"{ACTOR}.fsdp_config"


def serving_warnings(serving: Serving, found: ServingMemory, memory: int, training: Training | None) -> list[str]:
    """Weights and the cache of one sequence, and what the trainer keeps beside them."""
    warnings = []
    key = f"{serving.key}.gpu_memory_utilization"
    longest = f"{serving.key}.max_model_len"
    if found.weights >= found.budget:
        warnings.append(
            f"{key}: {serving.utilization} of {gb(memory)} does not hold the {serving.name}'s weights, "
            f"{gb(found.weights)} on each of {serving.tensor} rank(s); raise it or "
            f"{serving.key}.tensor_model_parallel_size"
        )
    elif found.weights + found.per_sequence > found.budget:
        warnings.append(
            f"{longest}: the cache of one sequence of that length takes {gb(found.per_sequence)}, and beside the "
            f"{serving.name}'s weights {gb(found.budget - found.weights)} are left; lower it or raise {key}"
        )
    elif found.sequences < 1:
        warnings.append(
            f"{key}: about {gb(found.cache)} of cache are left, less than one sequence of full length takes"
        )
    elif found.sequences < 8:
        warnings.append(
            f"{key}: the cache holds about {found.sequences} sequence(s) of full length at once; rollouts will be slow"
        )
    if found.blocks and serving.sequences > found.blocks and not serving.eager:
        warnings.append(
            f"{serving.key}.max_num_seqs: {serving.sequences} sequences are more than the about {found.blocks} blocks "
            f"that the {serving.name}'s cache has, each with one sequence's state of linear attention; vLLM does not "
            "start then. Lower it"
        )
    if found.scoring and found.budget + found.scoring + RUNTIME > memory:
        warnings.append(
            f"{serving.key}.max_num_batched_tokens: scoring {serving.batched_tokens} tokens at once takes about "
            f"{gb(found.scoring)} beside the share of {serving.utilization} of {gb(memory)}; lower it or {key}"
        )
    if serving.key != ROLLOUT or training is None:
        return warnings
    node = _engine_node(training)
    if found.budget + found.at_start > memory:
        warnings.append(
            f"{key}: {serving.utilization} of {gb(memory)} beside {gb(found.at_start)} of the student's weights in "
            f"training is more than the accelerator has; lower it, or set {node}.param_offload=true"
        )
    elif found.budget - found.workspace + found.resident > memory:
        warnings.append(
            f"{key}: after the first update {gb(found.resident)} of weights and optimiser states stay on the "
            f"accelerator, and the servers can't wake up to {serving.utilization} of {gb(memory)}; lower it, or set "
            f"{node}.optimizer_offload=true"
        )
    elif found.budget + found.resident > memory:
        warnings.append(
            f"{key}: little is left beside the {gb(found.resident)} that training keeps when the servers wake up"
        )
    return warnings


def memory_warnings(
    training: Training, found: TrainingMemory, host: HostMemory, memory: int, host_free: int | None
) -> list[str]:
    """The update phase, and main memory where it is known."""
    warnings, node = [], _engine_node(training)
    if found.certain > memory:
        warnings.append(
            f"trainer.n_gpus_per_node: weights, gradients and optimiser states take {gb(found.certain)} of an "
            f"accelerator with {gb(memory)}; use more accelerators or nodes, or {node}.optimizer_offload=true with "
            "smaller types"
        )
    elif found.estimate > _NEARLY * memory:
        warnings.append(
            f"{training.tokens_key}: an update takes about {gb(found.estimate)} of {gb(memory)} "
            f"({gb(found.activations)} activations, {gb(found.logits)} logits); lower it if memory runs out"
        )
    if host_free is not None and host.offloaded > host_free:
        warnings.append(
            f"{node}.param_offload: offloading takes {gb(host.offloaded)} of main memory, {gb(host_free)} are free "
            "here; switch it off, or use a node with more"
        )
    elif host_free is not None and host.loading > host_free:
        warnings.append(
            f"actor_rollout_ref.model.path: loading takes about {gb(host.loading)} of main memory, {gb(host_free)} "
            "are free"
        )
    return warnings


def context_warnings(contexts: Contexts) -> list[str]:
    """NCQ prompts that do not fit are skipped: said, and no problem. Other prompts are checked before every run."""
    if contexts.ncq_candidates is None:
        return []
    return [
        f"{ROLLOUT}.max_model_len: NCQ prompts with more than {contexts.ncq_candidates} wrong rollouts of full length "
        "do not fit; such instances are skipped and counted"
    ]


def disk_verdicts(disk: Disk, *, here: bool) -> Verdicts:
    """Room for checkpoints, certain only on the machine that writes them; and for rollout files, an upper estimate."""
    if disk.free is None or disk.estimate is None or disk.estimate <= disk.free:
        return [], []
    if disk.needed is None or disk.needed <= disk.free:
        checkpoints = f"with checkpoints and the final model {gb(disk.estimate)}, " if disk.needed else ""
        line = (
            f"zppo.logging.rollouts_dir: rollout files may take up to about {gb(disk.rollouts)}, {checkpoints}"
            f"{gb(disk.free)} are free in {disk.place}; watch it, lower zppo.logging.text_limit, or give them another "
            "disk (null writes none)"
        )
        return [], [line]
    line = (
        f"trainer.default_local_dir: {disk.kept} checkpoint(s) of {gb(disk.checkpoint)} and the final model take "
        f"{gb(disk.needed)}, {gb(disk.free)} are free in {disk.place}; set "
        "trainer.max_actor_ckpt_to_keep, or another folder"
    )
    return ([line], []) if here else ([], [line])
