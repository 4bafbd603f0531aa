"""Student and teacher pools on the nodes at hand: which accelerators of which node."""

import math
from dataclasses import dataclass

from omegaconf import DictConfig

from recipe.zppo.config.hardware import Hardware
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.on_verl.guards.placement import CPUS_A_SLOT, Placement, Pool, place

STUDENT, TEACHER, REWARD = "student", "teacher", "reward model"


@dataclass
class Layout:
    """Pools, and the node of each of their groups; `placement` is None when they do not fit."""

    pools: tuple[Pool, ...]
    placement: Placement | None
    problems: list[str]

    def by_node(self) -> list[tuple[int, dict[str, int]]]:
        """Of each node that is used: its index, and how many accelerators each pool has there."""
        nodes: dict[int, dict[str, int]] = {}
        for pool in self.pools:
            for node in (self.placement or {}).get(pool.name, []):
                share = nodes.setdefault(node, {})
                share[pool.name] = share.get(pool.name, 0) + pool.slots
        return sorted(nodes.items())

    def idle(self, hardware: Hardware) -> str:
        """One line if the run leaves accelerators alone; a run uses the nodes that it is told of, and no others."""
        there, used = (
            sum(node.accelerators for node in hardware.nodes),
            sum(pool.slots * pool.nodes for pool in self.pools),
        )
        if self.placement is None or used >= there:
            return ""
        nodes, most = len(hardware.nodes), max(pool.nodes for pool in self.pools)
        remedy = f"trainer.nnodes={nodes} would use all nodes" if most < nodes else "raise trainer.n_gpus_per_node"
        each = max(node.accelerators for node in hardware.nodes)
        if most < nodes and sum(pool.slots for pool in self.pools) < each:
            remedy += f", more in trainer.n_gpus_per_node all {each:.0f} of each"
        return f"trainer.nnodes: {there - used:.0f} of {there:.0f} accelerators stay idle; {remedy}"


def pools_of(config: DictConfig, zppo: ZPPOConfig) -> tuple[Pool, ...]:
    """The pools that a run places, the student's first."""
    pools = [Pool(STUDENT, config.trainer.n_gpus_per_node, config.trainer.nnodes)]
    reward = config.reward.reward_model
    if reward.enable_resource_pool:
        pools.append(Pool(REWARD, reward.n_gpus_per_node, reward.nnodes))
    teacher, count = zppo.teacher, len(zppo.placed_teachers)
    names = [TEACHER] if count == 1 else [f"{TEACHER} {i}" for i in range(count)]
    pools += [Pool(name, teacher.n_gpus_per_node, teacher.nnodes) for name in names]
    return tuple(pools)


def lay_out(config: DictConfig, zppo: ZPPOConfig, hardware: Hardware) -> Layout:
    """Place the run's pools; a problem when they do not fit."""
    pools = pools_of(config, zppo)
    rooms = [(node.accelerators, math.inf if node.cpus is None else node.cpus) for node in hardware.nodes]
    placement = place(rooms, pools)
    if placement is None:
        problem: str | None = does_not_fit(config, zppo, pools, rooms, hardware.source)
    else:
        problem = too_few_cpus(config, pools, rooms, hardware.source)
    return Layout(pools, placement, [problem] if problem else [])


def cpus_beside_the_pools(config: DictConfig) -> int:
    """CPUs that Ray must have beside the pools' for a run: TransferQueue's controller and storage units keep one each,
    and every other actor is started only where one is free."""
    backend = config.transfer_queue.backend
    units = backend.SimpleStorage.num_data_storage_units if backend.storage_backend == "SimpleStorage" else 0
    return 1 + int(units) + 1


def too_few_cpus(
    config: DictConfig, pools: tuple[Pool, ...], rooms: list[tuple[float, float]], source: str
) -> str | None:
    """One line if verl would wait for CPUs without end: over all nodes there are fewer than a run keeps."""
    slots, beside = sum(pool.slots * pool.nodes for pool in pools), cpus_beside_the_pools(config)
    needed, there = slots * CPUS_A_SLOT + beside, sum(cpus for _, cpus in rooms)
    if there >= needed:
        return None
    return (
        f"ray_kwargs.ray_init.num_cpus: {source} has {there:.0f} CPUs and the run keeps {needed} = {CPUS_A_SLOT} x "
        f"{slots} accelerators + {beside} for TransferQueue and for starting actors; lower "
        "transfer_queue.backend.SimpleStorage.num_data_storage_units, or let Ray count more CPUs than there are"
    )


def does_not_fit(
    config: DictConfig, zppo: ZPPOConfig, pools: tuple[Pool, ...], rooms: list[tuple[float, float]], source: str
) -> str:
    """One line: what is asked for, and what is there."""
    asked = f"trainer.n_gpus_per_node={config.trainer.n_gpus_per_node} on {config.trainer.nnodes} node(s)"
    if zppo.placed_teachers:
        asked += f" and zppo.teacher.n_gpus_per_node={zppo.teacher.n_gpus_per_node} on {zppo.teacher.nnodes} node(s)"
    if len(zppo.placed_teachers) > 1:
        asked += f" for each of {len(zppo.placed_teachers)} teachers"
    total = sum(pool.slots * pool.nodes for pool in pools)
    there = ", ".join(f"{int(slots)}" for slots, _ in rooms[:16]) + (", ..." if len(rooms) > 16 else "")
    few_cpus = place([(slots, math.inf) for slots, _ in rooms], pools) is not None
    why = f" with {CPUS_A_SLOT} CPUs for each of them" if few_cpus else ""
    return (
        f"trainer.n_gpus_per_node: {asked} ({total} accelerators{why}) do not fit: {source} has {len(rooms)} "
        f"node(s) with {there or 'no'} accelerators; lower one of the two, trainer.nnodes, or use more nodes"
    )
