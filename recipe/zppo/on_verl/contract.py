"""Everything of verl, and of Ray, that is private or undocumented and that ZPPO overrides, calls or sets.

tests/on_verl/test_contract.py compares it with the installed version, and fails if something is missing here. To try
another version of verl: install it, run that test, look at what moved, run the tests, add it to REQUIRED_VERL.txt.
"""

CONTRACT: dict[str, dict[str, tuple[str, str]]] = {
    "verl.trainer.ppo.v1.trainer_base:PPOTrainer": {
        "_balance_batch": (
            "zppo/on_verl/train_batch.py",
            "(self, batch, metrics, logging_prefix='global_seqlen', keep_minibatch=False)",
        ),
        "_build_replay_buffer": ("zppo/on_verl/trainer.py", "(self)"),
        # It hands an advantage estimator arrays and `config.algorithm`, nothing else: ZPPO's settings travel in there.
        "_compute_advantage": ("zppo/on_verl/trainer.py", "(self, batch, metrics)"),
        "_compute_metrics": ("zppo/on_verl/trainer.py", "(self, batch, metrics, timing_raw, global_steps, epoch)"),
        "_compute_old_log_prob": ("zppo/on_verl/trainer.py", "(self, batch, metrics)"),
        "_compute_ref_log_prob": ("zppo/on_verl/trainer.py", "(self, batch, metrics)"),
        "_get_required_batch_multiple": ("zppo/on_verl/train_batch.py", "(self, dp_size)"),
        "_init_dataloader": ("zppo/on_verl/trainer.py", "(self)"),
        "_init_resource_pool_mgr": ("zppo/on_verl/trainer.py", "(self)"),
        "_load_checkpoint": ("zppo/on_verl/checkpoint.py", "(self)"),
        "_save_checkpoint": ("zppo/on_verl/checkpoint.py", "(self)"),
        "_setup": ("zppo/on_verl/trainer.py", "(self)"),
        "_update_actor": ("zppo/on_verl/train_batch.py", "(self, batch, metrics)"),
        "_val_metrics_update": (
            "zppo/on_verl/trainer.py",
            "(self, data_sources, sample_uids, reward_extra_infos_dict, sample_turns, expected_acc_counts=None)",
        ),
        # "sync" is what it asks for where it means "no asynchronous rollouts".
        "trainer_mode": ("zppo/on_verl/trainer.py", "= self.config.trainer.v1.trainer_mode"),
    },
    "verl.trainer.ppo.v1.replay_buffer:ReplayBuffer": {
        "_materialize_batch": (
            "zppo/on_verl/validation_queue.py",
            "(self, partition_id, selected_prompt_uids, partition_snapshot)",
        ),
        "_wait_for_next_poll": ("zppo/on_verl/validation_queue.py", "(self, partition_id, last_debug_time)"),
    },
    "verl.trainer.ppo.v1.agent_loop_tq:AgentLoopWorkerTQ": {
        "_agent_loop_postprocess": ("zppo/on_verl/worker.py", "async (self, output, validate, **kwargs)"),
    },
    "verl.experimental.agent_loop.agent_loop:AgentLoopWorker": {
        "_compute_multi_modal_inputs": ("zppo/on_verl/worker.py", "(self, output, input_ids)"),
        "_compute_score": ("zppo/on_verl/grading.py", "async (self, outputs, kwargs)"),
        "_compute_teacher_logprobs": (
            "zppo/on_verl/worker.py",
            "async (self, output, prompt_ids, response_ids, validate, sample_kwargs=None)",
        ),
        "_run_agent_loop": (
            "zppo/on_verl/worker.py",
            "async (self, sampling_params, trajectory, *, agent_name, trace=True, **kwargs)",
        ),
    },
    "verl.experimental.agent_loop.agent_loop:AgentLoopBase": {
        "_cap_text_prompt_length": ("zppo/on_verl/agent_loop.py", "(self, prompt_ids)"),
        "rollout_config": ("zppo/on_verl/agent_loop.py", "= self.config.actor_rollout_ref.rollout"),
    },
    "verl.utils.dataset.rl_dataset:RLHFDataset": {
        "_build_messages": ("zppo/on_verl/dataset.py", "(self, example, key)"),
        "_process_multi_modal_info": (
            "zppo/on_verl/dataset.py",
            "@classmethod (cls, messages, image_patch_size, config)",
        ),
        "_read_files_and_tokenize": ("zppo/on_verl/dataset.py", "(self)"),
    },
    "verl.single_controller.ray.base:ResourcePoolManager": {
        "_check_resource_available": ("zppo/on_verl/guards/node_pools.py", "(self)"),
    },
    "verl.workers.rollout.llm_server:LLMServerClient": {
        "_acquire_server": ("zppo/on_verl/guards/server_client.py", "async (self, request_id, **extra)"),
        "_load_balancer": ("zppo/on_verl/guards/server_client.py", "= load_balancer_handle"),
    },
    "verl.model_merger.fsdp_model_merger:FSDPModelMerger": {
        "_load_and_merge_state_dicts": (
            "zppo/on_verl/merge.py",
            "(self, world_size, total_shards, mesh_shape, mesh_dim_names)",
        ),
        "_merge_by_placement": ("zppo/on_verl/merge.py", "(self, tensors, placement)"),
    },
    "verl.utils.fsdp_utils": {
        "_select_fsdp2_wrap_targets": (
            "zppo/on_verl/patches.py",
            "(model, fsdp_transformer_layer_cls_to_wrap)",
        ),
    },
    "verl.models.transformers.monkey_patch:patch_forward_with_backends": {
        "_verl_fused_kernels_backend": ("zppo/on_verl/patches.py", "= fused_kernels_backend"),
    },
    # Classes of verl that Ray wraps: ours derive from what is under the wrapper.
    "verl.trainer.main_ppo": {"TaskRunnerV1": ("zppo/on_verl/task_runner.py", "@ray.remote ()")},
    "verl.trainer.ppo.v1.agent_loop_tq": {
        "AgentLoopWorkerTQ": ("zppo/on_verl/worker.py", "@ray.remote (AgentLoopWorker)"),
    },
    "ray.actor:_ActorClassMetadata": {"modified_class": ("zppo/on_verl/worker.py", "= modified_class")},
    "ray._private.services": {"find_bootstrap_address": ("zppo/dry_run/machine.py", "(temp_dir)")},
    "ray._private.state": {
        "available_resources_per_node": ("zppo/on_verl/guards/node_pools.py", "@DeveloperAPI ()"),
    },
}
