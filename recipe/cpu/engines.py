"""verl's FSDP engine for a language model, registered for the device `cpu`. Imports verl's engines: import it late.

`recipe.cpu.register()` has this module imported right after `verl.workers.engine` (see `after_import`), hence only
in training workers. verl's own hooks were looked at first: `VERL_USE_EXTERNAL_MODULES` and plug-ins run inside
`import verl`, in every process; `model.external_lib` runs wherever a model configuration is built (agent loops and
rollout servers too) and would have to be set per model; `VERL_ENGINE_DEVICE=cuda` makes the registry answer with
the CUDA engine, which fails for forward-only models (below).

Only `strategy=fsdp2`: FSDP1's `sync_module_states` refuses CPU modules. No value model: verl's critic asks for
flash attention.
"""

from collections.abc import Iterator

import torch
from peft.tuners.lora import LoraLayer
from torch.distributed.tensor import DTensor
from verl.utils.fsdp_utils import normalize_peft_param_name
from verl.utils.model import convert_weight_keys
from verl.workers.engine import EngineRegistry, FSDPEngineWithLMHead


@EngineRegistry.register(model_type="language_model", backend="fsdp2", device="cpu")
class CpuFSDPEngineWithLMHead(FSDPEngineWithLMHead):
    """verl's engine, without offloading to where everything already is, and with exact weights of LoRA students."""

    def _build_fsdp_module(self, module):
        """Build without CPU offloading.

        verl gives forward-only models `CPUOffloadPolicy(pin_memory=True)`
        (`FSDPEngine._build_fsdp_module`), and pinning needs an accelerator.
        """
        if self.engine_config.offload_policy:
            raise ValueError("fsdp_config.offload_policy=true needs an accelerator; on the CPU leave it false")
        # Parameters live in main memory already; verl's own code switches these off for forward-only models, too.
        self._is_offload_param = self._is_offload_optimizer = False
        forward_only = self.engine_config.forward_only
        self.engine_config.forward_only = False
        try:
            return super()._build_fsdp_module(module)
        finally:
            self.engine_config.forward_only = forward_only

    def _merged_lora_per_tensor_param(self) -> Iterator[tuple[str, torch.Tensor]]:
        """The student's whole weights, base plus adapter, by Hugging Face name; all ranks must consume it alike.

        verl's version rounds to bfloat16, which makes server and trainer two policies where
        training is in float32, and leaves out adapters outside of FSDP's inner units (`fsdp_merge_unmerge`). This one
        adds to copies: the live weights are not touched.
        """
        layers = {f"{name}.base_layer.weight": m for name, m in self.module.named_modules() if isinstance(m, LoraLayer)}
        weights = {name: (tensor, layers.get(name)) for name, tensor in self.module.state_dict().items()}
        with torch.no_grad():
            for name, (tensor, layer) in convert_weight_keys(normalize_peft_param_name(weights), self.module).items():
                if layer is not None:
                    for adapter in layer.active_adapters:
                        tensor = tensor + layer.get_delta_weight(adapter)
                yield name, tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
