"""What vLLM's worker processes need on the CPU, beyond verl's own extension. Imports vLLM: import it late.

Named by `rollout.engine_kwargs.vllm.worker_extension_cls`; vLLM adds the class to the bases of its worker.
"""

from __future__ import annotations

from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension

from recipe.cpu.verl_patches import keep_weights_beside_packed_ones


class CpuWorkerExtension(vLLMColocateWorkerExtension):
    """verl's extension (weight sync, masking of illegal tokens), for weights that can be synchronised on the CPU."""

    def __new__(cls, **kwargs):
        from vllm.model_executor.layers import utils

        keep_weights_beside_packed_ones(utils)
        return super().__new__(cls, **kwargs)
