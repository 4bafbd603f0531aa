"""What vLLM's worker processes need on the CPU, beyond verl's own extension. Imports vLLM: import it late.

Named by `rollout.engine_kwargs.vllm.worker_extension_cls`; vLLM adds the class to the bases of its worker.
"""

import os

from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension

from recipe.cpu.verl_patches import keep_weights_beside_packed_ones


class CpuWorkerExtension(vLLMColocateWorkerExtension):
    """verl's extension (weight sync, masking of illegal tokens), for weights that can be synchronised on the CPU."""

    def __new__(cls, **kwargs):
        from vllm.model_executor.layers import utils

        keep_weights_beside_packed_ones(utils)
        # verl sets it with rollout.full_determinism; vLLM's batch-invariant kernels are Triton and need a GPU. A
        # request with a seed draws from a generator of its own: in float32 it gets the same tokens whatever the batch.
        os.environ["VLLM_BATCH_INVARIANT"] = "0"
        return super().__new__(cls, **kwargs)
