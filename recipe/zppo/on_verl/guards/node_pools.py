"""verl's resource pools, reserved so that each node holds its share of every pool (`guards.placement`, with Ray).

verl asks Ray for one placement group per node of a pool and leaves the node to Ray, pool after pool. Ray packs: two
student groups of 3 may land on one node of 8, and of two teacher groups of 5 only one then finds room, for which verl
waits without limit. Here the nodes are chosen for all pools at once, and Ray is told them.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.util import placement_group, placement_group_table
from ray.util.placement_group import PlacementGroup
from verl.single_controller.ray.base import RayResourcePool, ResourcePoolManager
from verl.utils.device import get_resource_name

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import ConfigError, WaitTimeoutError
from recipe.zppo.on_verl.guards.placement import CPUS_A_SLOT, Placement, Pool, place

PLACEMENT_TIMEOUT_S = 1800
RELEASE_TIMEOUT_S = 20
TEACHER = "teacher"


class NodePools(ResourcePoolManager):
    """verl's pools and the teachers', all reserved at once. The teachers' is not among verl's, which get workers."""

    @classmethod
    def of(
        cls, manager: ResourcePoolManager, zppo: ZPPOConfig, on_teacher: Callable[[RayResourcePool], None]
    ) -> "NodePools":
        """The pools of verl's `manager`, and of the teachers; `on_teacher` is handed theirs as soon as it is there."""
        pools = cls(manager.resource_pool_spec, manager.mapping, manager.max_colocate_count)
        pools._zppo, pools._on_teacher = zppo, on_teacher
        return pools

    def create_resource_pool(self) -> None:
        zppo, teacher = self._zppo, self._zppo.teacher
        shares = [Pool(name, slots[0], len(slots)) for name, slots in self.resource_pool_spec.items()]
        shares += [
            Pool(f"{TEACHER} {i}", teacher.n_gpus_per_node, teacher.nnodes) for i in range(len(zppo.placed_teachers))
        ]
        super().create_resource_pool()
        pools = dict(self.resource_pool_dict)
        if zppo.placed_teachers:
            # One pool for all teachers, as verl's manager wants it; it shares out the groups in the teachers' order.
            pools[TEACHER] = RayResourcePool(
                [teacher.n_gpus_per_node] * teacher.nnodes * len(zppo.placed_teachers),
                use_gpu=True,
                max_colocate_count=self.max_colocate_count,
                name_prefix="teacher_pool",
            )
        reserve(pools, shares)
        if zppo.placed_teachers:
            self._on_teacher(pools[TEACHER])

    def _check_resource_available(self) -> None:
        """verl's check adds up what all nodes have free at the moment; `find_places` looks node by node, and waits."""


def reserve(
    pools: dict[str, RayResourcePool], shares: Sequence[Pool], *, timeout_s: float = PLACEMENT_TIMEOUT_S
) -> None:
    """Reserve the placement groups of all pools, node by node; afterwards verl finds them in each pool's ``pgs``.

    Args:
        pools: verl's pools by name.
        shares: what they are made of. A share has its pool's name, or that name and a number: ``teacher 0`` and
            ``teacher 1`` are, one after the other, the groups of the pool ``teacher``.

    Raises:
        ConfigError: the nodes of the cluster do not hold all pools.
        WaitTimeoutError: Ray did not give a group in time.
    """
    deadline = time.monotonic() + timeout_s
    nodes, placement = find_places(shares)
    groups: dict[str, list[PlacementGroup]] = {name: [] for name in pools}
    for share in shares:
        name = share.name if share.name in pools else share.name.rsplit(" ", 1)[0]
        # Ranks follow the addresses of the nodes, as verl sorts them: a resumed run finds its shards on the same nodes.
        for index in sorted(placement[share.name], key=lambda index: nodes[index]["NodeManagerAddress"]):
            groups[name].append(_reserve_group(pools[name], len(groups[name]), share.slots, nodes[index]["NodeID"]))
    for name, reserved in groups.items():
        for i, group in enumerate(reserved):
            if not group.wait(max(1.0, deadline - time.monotonic())):
                raise WaitTimeoutError(
                    f"Ray did not reserve group {i} of the pool {name} ({pools[name].store[i]} accelerators on a node) "
                    f"within {timeout_s:.0f} s; is another job on the cluster?"
                )
        pools[name].pgs = reserved


def find_places(shares: Sequence[Pool]) -> tuple[list[dict[str, Any]], Placement]:
    """The cluster's nodes, and of each share the nodes that hold its groups (indices into the former).

    What is free decides. Where that is too little, or would put more of a pool on some nodes than on others, an ended
    run may be about to give its share back: then it is waited for, and in the end what the nodes have decides.

    Raises:
        ConfigError: not even the latter is enough.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    resource = get_resource_name()
    rooms = [_room(node["Resources"], resource) for node in nodes]
    whole = place(rooms, shares)
    if whole is None:
        asked = ", ".join(f"{share.slots} on each of {share.nodes} node(s) for the {share.name}" for share in shares)
        raise ConfigError(
            f"the Ray cluster cannot hold student and teacher: asked are {asked}, with {CPUS_A_SLOT} CPUs for each "
            f"{resource}; its nodes have ({resource}, CPU) = {[(int(slots), int(cpus)) for slots, cpus in rooms]}; "
            "lower trainer.n_gpus_per_node or zppo.teacher.n_gpus_per_node, or trainer.nnodes"
        )
    deadline, possible = time.monotonic() + RELEASE_TIMEOUT_S, None
    while time.monotonic() < deadline:
        free = ray._private.state.available_resources_per_node()  # as verl's ResourcePoolManager asks
        possible = place([_room(free.get(node["NodeID"], {}), resource) for node in nodes], shares)
        if possible is not None and _spread(possible) >= _spread(whole):
            return nodes, possible
        time.sleep(0.5)
    return nodes, possible or whole


def _spread(placement: Placement) -> int:
    """Nodes that the pools use, each counted by itself."""
    return sum(len(set(indices)) for indices in placement.values())


def _room(resources: dict[str, float], resource: str) -> tuple[float, float]:
    return resources.get(resource, 0), resources.get("CPU", 0)


def _reserve_group(pool: RayResourcePool, index: int, slots: int, node_id: str) -> PlacementGroup:
    """A placement group as verl makes it, but with its node named; Ray takes another only if that one is full."""
    bundle = {"CPU": pool.max_colocate_count, get_resource_name(): 1}
    return placement_group(
        [dict(bundle) for _ in range(slots)],
        strategy="STRICT_PACK",
        name=f"{pool.name_prefix}:{index}",
        _soft_target_node_id=node_id,
    )


def node_of(group: PlacementGroup) -> str:
    """ID of the node that holds a placement group."""
    return next(iter(placement_group_table(group)["bundles_to_node_id"].values()))
