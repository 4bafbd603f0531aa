"""What vLLM's worker processes need on the CPU, beyond verl's own extension. Imports vLLM: import it late.

Named by `rollout.engine_kwargs.vllm.worker_extension_cls`; vLLM adds the class to the bases of its worker.
"""

import os

from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension

from recipe.cpu.verl_patches import keep_weights_beside_packed_ones, unpack_convolutions


class CpuWorkerExtension(vLLMColocateWorkerExtension):
    """verl's extension (weight sync, masking of illegal tokens), for weights that can be synchronised on the CPU."""

    def __new__(cls, **kwargs):
        from vllm.model_executor.layers import utils

        keep_weights_beside_packed_ones(utils)
        # verl sets it with rollout.full_determinism; vLLM's batch-invariant kernels are Triton and need a GPU. A
        # request with a seed draws from a generator of its own: in float32 it gets the same tokens whatever the batch.
        os.environ["VLLM_BATCH_INVARIANT"] = "0"
        return super().__new__(cls, **kwargs)

    def update_weights_from_ipc(
        self, peft_config: dict | None = None, base_sync_done: bool = False, use_shm: bool = False
    ) -> None:
        """As verl's; adapters alone leave the weights as they are, and nothing packs after them."""
        if not (peft_config and base_sync_done):
            unpack_convolutions(self.model_runner.model)
        super().update_weights_from_ipc(peft_config, base_sync_done, use_shm)
