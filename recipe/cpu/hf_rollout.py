"""The rollout back end "hf" as verl sees it: a replica (launches the server) and an adapter (the trainer's side)."""

import asyncio
import os
from collections.abc import Generator

import ray
import torch
from verl.plugin.platform import get_platform
from verl.utils.net_utils import is_valid_ipv6_address
from verl.workers.rollout.base import BaseRollout
from verl.workers.rollout.replica import RolloutReplica
from verl.workers.rollout.utils import ensure_async_iterator

from recipe.cpu.hf_server import HFServer


class HFReplica(RolloutReplica):
    """One server of one process beside one worker: no tensor, data or pipeline parallelism inside a replica."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.world_size != 1:
            raise ValueError(
                "rollout.name=hf has one process a replica: set tensor_model_parallel_size, data_parallel_size and "
                f"pipeline_model_parallel_size to 1 (their product is {self.world_size})"
            )
        if self.is_reward_model:
            raise ValueError(
                "rollout.name=hf can't serve reward.reward_model, which verl reaches over HTTP; "
                "ask a teacher server through its client instead"
            )

    async def launch_servers(self) -> None:
        worker = self.workers[0]
        node_id, address = await worker.__ray_call__.remote(
            lambda self: (ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address())
        )
        name = _server_name(self.replica_rank, self.is_teacher_model, self.name_suffix)
        server = (
            ray.remote(HFServer)
            .options(
                scheduling_strategy=ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node_id, soft=False),
                runtime_env={"env_vars": get_platform().rollout_env_vars()},
                name=name,
                max_concurrency=self.max_concurrency,
                # The worker beside it holds the slot.
                num_cpus=0,
            )
            .remote(self.config, self.model_config, self.rollout_mode, self.replica_rank)
        )
        await server.ready.remote()
        self.servers = [server]
        self._server_handle = server
        # No HTTP server stands behind it: load balancers use it as the server's key.
        address = f"[{address}]" if is_valid_ipv6_address(address) else address
        self._server_address = f"{address}/{name}"

    async def resume_generation(self) -> None:
        await asyncio.gather(*[server.resume_generation.remote() for server in self.servers])


class HFServerAdapter(BaseRollout):
    """Sends the trainer's weights to the server of the same rank, through Ray's object store."""

    def __init__(self, config, model_config, device_mesh, replica_rank: int = -1):
        super().__init__(config, model_config, device_mesh)
        self.replica_rank = int(os.environ["RANK"]) if replica_rank == -1 else replica_rank
        self.is_leader_rank = True  # of a replica of one
        self._server = None

    @property
    def server(self) -> ray.actor.ActorHandle:
        if self._server is None:  # the server starts after the trainer
            self._server = ray.get_actor(_server_name(self.replica_rank))
        return self._server

    async def resume(self, tags: list[str]) -> None:
        """Nothing was released."""

    async def release(self) -> None:
        """Weights and caches are in main memory and small; keep them."""

    @torch.no_grad()
    async def update_weights(
        self,
        weights: Generator[tuple[str, torch.Tensor], None, None],
        global_steps: int | None = None,
        wire_format: str = "named_tensors",
        peft_config=None,
        **kwargs,
    ) -> None:
        """Send all weights, a bucket of `update_weights_bucket_megabytes` at a time, then the version number.

        Raises:
            NotImplementedError: for deltas and for unmerged LoRA adapters.
            ValueError: names or shapes differ from the server's model, or weights are missing.
        """
        if wire_format != "named_tensors":
            raise NotImplementedError(f"rollout.name=hf takes full tensors only, not wire_format={wire_format!r}")
        if peft_config is not None:
            raise NotImplementedError("rollout.name=hf takes no LoRA adapter; set model.lora.merge=true")
        limit = self.config.checkpoint_engine.update_weights_bucket_megabytes << 20
        bucket, size = [], 0
        async for name, tensor in ensure_async_iterator(weights):
            tensor = tensor.detach().cpu().contiguous()
            if bucket and size + tensor.nbytes > limit:
                await self.server.load_weights.remote(bucket)
                bucket, size = [], 0
            bucket.append((name, tensor))
            size += tensor.nbytes
        if bucket:
            await self.server.load_weights.remote(bucket)
        await self.server.finish_weights.remote(global_steps)


def _server_name(replica_rank: int, is_teacher: bool = False, suffix: str = "") -> str:
    return f"hf_server_{'teacher_' if is_teacher else ''}{replica_rank}{suffix}"
