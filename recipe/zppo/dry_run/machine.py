"""The machine or the Ray cluster at hand, looked at without starting or reserving anything."""

import math
import os
import shutil
import subprocess
from dataclasses import dataclass

from omegaconf import DictConfig, OmegaConf

from recipe.zppo.config.hardware import Hardware, Node
from recipe.zppo.errors import first_line

MIB = 2**20
HERE, CPU = "this machine", "platform=cpu"


@dataclass(frozen=True)
class Accelerator:
    """One accelerator of this machine. Bytes."""

    index: str
    free: int
    total: int


def cluster_address(config: DictConfig) -> str | None:
    """Address of the running Ray cluster that the run would join; None when it would start one on this machine.

    As in `ray.init`: the config's, RAY_ADDRESS, or the cluster that `ray start` started here.
    """
    address = OmegaConf.select(config, "ray_kwargs.ray_init.address") or os.environ.get("RAY_ADDRESS")
    if address == "local" or (not address and config.trainer.device == "cpu"):
        return None
    if not address or address == "auto":
        from ray._private.services import find_bootstrap_address

        return find_bootstrap_address(None) or (address and str(address))
    return str(address)


def look(config: DictConfig, found: list[Accelerator], *, join: bool) -> Hardware | None:
    """What the run would find; None for a running cluster unless `join` allows to connect to it.

    Args:
        found: what `accelerators` returned.

    Raises:
        ConnectionError: there is no cluster at the address.
    """
    ray_init = config.ray_kwargs.ray_init
    address = cluster_address(config)
    if address is not None:
        return cluster(address) if join else None
    slots = ray_init.get("num_gpus")
    if config.trainer.device == "cpu":  # Ray's accelerators are slots that the run itself declares
        return Hardware((Node(int(slots or 0), None, ray_init.get("num_cpus")),), CPU)
    from verl.utils.device import get_torch_device

    memory = min((accelerator.total for accelerator in found), default=None)
    # By torch those of another make, or without `nvidia-smi`.
    count = int(slots) if slots is not None else len(found) or get_torch_device().device_count()
    return Hardware((Node(count, memory, ray_init.get("num_cpus") or os.cpu_count()),), HERE)


def cluster(address: str) -> Hardware:
    """Nodes of a running Ray cluster. Its accelerators' memory is not known to Ray.

    Raises:
        ConnectionError: it does not answer.
    """
    import ray
    from verl.utils.device import get_resource_name

    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
    except Exception as error:
        raise ConnectionError(first_line(error)) from error
    try:
        alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        resource = get_resource_name()
    finally:
        ray.shutdown()
    nodes = (Node(int(node.get(resource, 0)), None, math.floor(node.get("CPU", 0))) for node in alive)
    return Hardware(tuple(nodes), f"the Ray cluster at {address}")


def accelerators() -> list[Accelerator]:
    """NVIDIA accelerators that this process may use, by `nvidia-smi`: CUDA itself would take memory on each of them."""
    if not shutil.which("nvidia-smi"):
        return []
    query = ["nvidia-smi", "--query-gpu=index,uuid,memory.free,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return parse_accelerators(done.stdout, os.environ.get("CUDA_VISIBLE_DEVICES"))


def parse_accelerators(text: str, visible: str | None) -> list[Accelerator]:
    """Lines `index, uuid, free MiB, total MiB`, of which `visible` (as CUDA_VISIBLE_DEVICES) names some."""
    found: dict[str, Accelerator] = {}
    for line in text.splitlines():
        index, uuid, free, total = (part.strip() for part in line.split(","))
        if free.isdigit() and total.isdigit():  # "[N/A]" where an accelerator has no memory of its own
            found[index] = found[uuid] = Accelerator(index, int(free) * MIB, int(total) * MIB)
    if visible is None:
        return list(dict.fromkeys(found.values()))
    chosen = []
    for name in (name.strip() for name in visible.split(",")):
        matches = [key for key in found if key == name or (name.startswith("GPU") and key.startswith(name))]
        if not matches:  # as CUDA does: the first name that is none ends the list
            break
        chosen.append(found[matches[0]])
    return chosen
