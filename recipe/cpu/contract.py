"""Everything private of verl that support for the CPU overrides, sets or replaces.

tests/on_verl/test_contract.py compares it, and ZPPO's table, with the installed verl.
"""

CONTRACT: dict[str, dict[str, tuple[str, str]]] = {
    "verl.plugin.platform.platform_manager": {"_current_platform": ("cpu/__init__.py", "= None")},
    "verl.utils.distributed": {
        "initialize_global_process_group_ray": ("cpu/verl_patches.py", "(timeout_second=None, backend=None)"),
    },
    "verl.workers.engine.fsdp.transformer_impl:FSDPEngine": {
        "_build_fsdp_module": ("cpu/engines.py", "(self, module)"),
        "_is_offload_optimizer": ("cpu/engines.py", "= self.engine_config.optimizer_offload"),
        "_is_offload_param": ("cpu/engines.py", "= self.engine_config.param_offload"),
        "_merged_lora_per_tensor_param": ("cpu/engines.py", "(self)"),
    },
    "verl.workers.engine.megatron.transformer_impl:MegatronEngine": {
        "_build_tf_config": ("cpu/megatron_engine.py", "(self)"),
    },
    "verl.workers.rollout.base": {"_ROLLOUT_REGISTRY": ("cpu/__init__.py", "= ...")},
    "verl.workers.rollout.replica:RolloutReplica": {
        "_server_address": ("cpu/hf_rollout.py", "= None"),
        "_server_handle": ("cpu/hf_rollout.py", "= None"),
    },
}
