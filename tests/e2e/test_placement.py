"""On a Ray cluster of eight nodes with eight logical accelerators each, every node gets its share of every pool."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.e2e

SCRIPT = """
import json
import ray
from ray.cluster_utils import Cluster
from recipe.cpu import use_cpu
use_cpu()
from verl.single_controller.ray.base import ResourcePoolManager
from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.errors import ConfigError
from recipe.zppo.on_verl.guards.node_pools import NodePools, node_of

def zppo(gpus, nodes, more=()):
    teacher = {"path": "t", "more": list(more), "n_gpus_per_node": gpus, "nnodes": nodes, "response_length": 8}
    return validate_zppo({"teacher": teacher})

def nodes_of(pool):
    return [node_of(group) for group in pool.pgs]

def reserved(student, teacher_config):
    taken = []
    manager = NodePools.of(ResourcePoolManager({"global_pool": student}, {}), teacher_config, taken.append)
    manager.create_resource_pool()
    pools = [manager.resource_pool_dict["global_pool"], *taken]
    result = [nodes_of(pool) for pool in pools]
    for pool in pools:
        for group in pool.pgs:
            ray.util.remove_placement_group(group)
    return result

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 25, "num_gpus": 8, "include_dashboard": False})
try:
    for _ in range(7):
        cluster.add_node(num_cpus=24, num_gpus=8)
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()
    found = {}
    for name, student, teacher in (
        ("paper", 6, zppo(2, 8)), ("three_five", 3, zppo(5, 8)), ("four_two", 4, zppo(2, 8)),
        ("three_two", 3, zppo(2, 8)),
        ("two_teachers", 4, zppo(2, 8, ["u"])),
    ):
        found[name] = reserved([student] * 8, teacher)
    found["apart"] = reserved([8] * 4, zppo(4, 4))
    try:
        reserved([6] * 8, zppo(3, 8))
    except ConfigError as error:
        found["refused"] = str(error)
    print(json.dumps(found))
finally:
    ray.shutdown()
    cluster.shutdown()
"""


def test_each_node_has_its_share_of_student_and_teacher() -> None:
    environment = os.environ | {"RAY_ENABLE_UNLIMITED_ACCELERATORS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("refused").startswith("the Ray cluster cannot hold student and teacher")
    apart_student, apart_teacher = found.pop("apart")
    assert len(set(apart_student)) == 4 and len(apart_teacher) == 4
    assert not set(apart_student) & set(apart_teacher)
    two_student, two_teacher = found.pop("two_teachers")
    assert len(set(two_student)) == 8
    assert set(two_teacher[:8]) == set(two_teacher[8:]) == set(two_student)  # of each teacher one group a node
    for name, (student, teacher) in found.items():
        assert len(set(student)) == 8, name
        assert teacher == student, name  # the i-th groups share a node, each another
