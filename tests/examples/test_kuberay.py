"""The manifest for KubeRay: the paper's layout, in words that our image and scripts know."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from recipe.zppo.on_verl.guards.placement import CPUS_A_SLOT

from .conftest import ROOT, TRAINER, Site
from .crd import mistakes

SCRIPT = TRAINER / "run_qwen3_5_kuberay.sh"
MANIFEST = TRAINER / "rayjob_qwen3_5.yaml"


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return yaml.safe_load(MANIFEST.read_text())


@pytest.fixture(scope="module")
def pods(manifest: dict) -> list[dict[str, Any]]:
    """The head's and the workers' only container."""
    cluster = manifest["spec"]["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    groups = [cluster["headGroupSpec"], workers]
    return [group["template"]["spec"]["containers"][0] for group in groups]


def test_eight_nodes_of_eight_gpus(manifest: dict, pods: list) -> None:
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", "RayJob")
    (workers,) = manifest["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert workers["replicas"] == workers["minReplicas"] == workers["maxReplicas"] == 7
    for pod in pods:
        limits = pod["resources"]["limits"]
        assert limits == pod["resources"]["requests"] and limits["nvidia.com/gpu"] == "8"
        assert int(limits["cpu"]) >= 8 * CPUS_A_SLOT + 10
        environment = {entry["name"]: entry["value"] for entry in pod["env"]}
        assert (environment["NNODES"], environment["GPUS_PER_NODE"]) == ("8", "8")


def test_image_and_versions_are_ours(manifest: dict, pods: list) -> None:
    assert {pod["image"] for pod in pods} == {"open-zppo:fsdp"}
    pinned = (ROOT / "constraints" / "gpu.txt").read_text().splitlines()
    assert f"ray=={manifest['spec']['rayClusterSpec']['rayVersion']}" in pinned


def test_volumes_that_are_mounted_exist(manifest: dict) -> None:
    cluster = manifest["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        spec = group["template"]["spec"]
        (container,) = spec["containers"]
        assert [mount["name"] for mount in container["volumeMounts"]] == [volume["name"] for volume in spec["volumes"]]
        for entry in container["env"]:
            if entry["value"].startswith("/"):
                assert entry["value"].startswith("/shared/")


def test_its_entrypoint_waits_for_all_nodes_and_trains(manifest: dict, pods: list, site: Site) -> None:
    script, *arguments = manifest["spec"]["entrypoint"].split()
    assert ROOT / Path(script).relative_to("/opt/open-zppo") == SCRIPT
    environment = {entry["name"]: entry["value"] for entry in pods[0]["env"]}
    wait, run = site.calls(SCRIPT, *arguments, **environment)
    assert wait[2:] == ["recipe.zppo.wait_for_nodes", "--nodes", "8", "--gpus", "8", "--limit", "1800"]
    assert run[2] == "verl.trainer.main_zppo" and run[-1] == "method=zppo"
    assert {
        "trainer.nnodes=8",
        "trainer.n_gpus_per_node=6",
        "zppo.teacher.n_gpus_per_node=2",
        "actor_rollout_ref.model.path=/shared/models/Qwen3.5-2B",
        "trainer.default_local_dir=/shared/runs/qwen3_5_2b_fsdp",
    } <= set(run)
    ((*plan,),) = site.calls(SCRIPT, "zppo.dry_run=true", **environment)
    assert plan[-1] == "zppo.dry_run=true"


def test_a_manifest_is_held_against_a_definition(manifest: dict) -> None:
    """With a definition of a few fields; KubeRay's own is not at hand here (see crd.py)."""
    schema = {
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": {
                "type": "object",
                "required": ["entrypoint"],
                "properties": {
                    "entrypoint": {"type": "string"},
                    "format": {"type": "integer", "format": "int32"},
                    "port": {"x-kubernetes-int-or-string": True},
                },
            },
        },
    }
    version = {"name": "v1", "served": True, "schema": {"openAPIV3Schema": schema}}
    crd = [{"spec": {"group": "ray.io", "names": {"kind": "RayJob"}, "versions": [version]}}]
    good = {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": {"name": "a"}}
    assert mistakes(crd, good | {"spec": {"entrypoint": "a", "format": 1, "port": "x"}}) == []
    (missing,) = mistakes(crd, good | {"spec": {"format": 1}})
    assert missing == "spec: 'entrypoint' is a required property"
    (unknown,) = mistakes(crd, good | {"spec": {"entrypoint": "a", "entryPoint": "b"}})
    assert unknown.startswith("spec: Additional properties are not allowed ('entryPoint'")
    assert mistakes(crd, good | {"kind": "RayCluster"}) == ["no definition of RayCluster in ray.io/v1"]
    assert mistakes(crd, manifest) != []
