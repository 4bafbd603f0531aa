"""Values of verl's keys with which no run can work."""

import pytest
from omegaconf import OmegaConf

from recipe.zppo.config.engine import shown
from recipe.zppo.preflight.values import CHOICES, ENGINES, VALUES
from tests.runnable import Run

OPTIM, ROLLOUT = "actor_rollout_ref.actor.optim", "actor_rollout_ref.rollout"

# Key, values that are refused, the nearest that pass.
CASES = [
    ("data.prompt_key", [None, 3, ""], []),
    ("data.image_key", [3, ""], [None]),
    ("data.video_key", [3], [None]),
    ("data.train_max_samples", [-2, "all", None], [-1, 8]),
    ("data.val_max_samples", ["all", None], [-1, 8]),
    ("data.max_prompt_length", [0, -1, None], []),
    ("data.max_response_length", [0, "long"], []),
    ("data.val_batch_size", [0, 1.5], [None, 1]),
    ("data.dataloader_num_workers", [-1], [0]),
    ("actor_rollout_ref.model.path", [None, "", 3], []),
    ("actor_rollout_ref.model.tokenizer_path", [3], [None]),
    ("actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu", [0], [None, 1]),
    ("actor_rollout_ref.actor.ppo_max_token_len_per_gpu", [0, "many", None], []),
    ("actor_rollout_ref.actor.fsdp_config.fsdp_size", [0, -2, "x"], [-1, 1]),
    ("actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size", [0, "two"], [None, 1]),
    ("actor_rollout_ref.actor.megatron.tensor_model_parallel_size", [0, "two"], []),
    ("actor_rollout_ref.actor.megatron.pipeline_model_parallel_size", [0, "two"], []),
    ("actor_rollout_ref.actor.megatron.context_parallel_size", [0, "two"], []),
    ("actor_rollout_ref.actor.clip_ratio", [-1, None], [0.2]),
    ("actor_rollout_ref.actor.clip_ratio_low", [-1], [0.1]),
    ("actor_rollout_ref.actor.clip_ratio_high", [float("nan")], [0.1]),
    ("actor_rollout_ref.actor.clip_ratio_c", [1, 0.5, None], [3.0]),
    ("actor_rollout_ref.actor.policy_loss.clip_cov_ratio", [0, 1.5], [0.0002]),
    ("actor_rollout_ref.actor.policy_loss.kl_cov_ratio", [0, 1.5], [0.0002]),
    (f"{OPTIM}.lr", [-1, "fast", None, float("nan"), float("inf")], [0, 1, 1e-6]),
    (f"{OPTIM}.weight_decay", [-0.1], [0]),
    (f"{OPTIM}.clip_grad", [0, None], [0.1]),
    (f"{OPTIM}.lr_warmup_steps_ratio", [-0.1, 1.1], [0, 1.0]),
    (f"{ROLLOUT}.temperature", [0, -1], [0.1]),
    (f"{ROLLOUT}.top_p", [0, 1.1], [1]),
    (f"{ROLLOUT}.top_k", [-2, 0.5], [-1, 20]),
    (f"{ROLLOUT}.gpu_memory_utilization", [0, 90], [0.9]),
    (f"{ROLLOUT}.tensor_model_parallel_size", [0], [1]),
    (f"{ROLLOUT}.agent.num_workers", [0], [1]),
    (f"{ROLLOUT}.max_model_len", ["abc", 0], [None]),
    (f"{ROLLOUT}.max_num_seqs", [0, "many", None], [1]),
    (f"{ROLLOUT}.max_num_batched_tokens", [0, "many"], [None]),
    (f"{ROLLOUT}.log_prob_max_token_len_per_gpu", [0, "many", None], []),
    (f"{ROLLOUT}.val_kwargs.n", [0, None], [1]),
    (f"{ROLLOUT}.val_kwargs.temperature", [-1], [0]),
    (f"{ROLLOUT}.val_kwargs.top_p", [0], [1]),
    ("trainer.default_local_dir", ["", None, 3], ["a b"]),
    ("trainer.nnodes", [0, True], [2]),
    ("trainer.n_gpus_per_node", [0, "all"], [2]),
    ("trainer.total_epochs", [0], [1]),
    ("trainer.total_training_steps", [0, "ten", 1.5], [None, 1]),
    ("trainer.save_freq", [-2, 0.5], [1]),
    ("trainer.max_actor_ckpt_to_keep", [-1, "two"], [None, 1]),
    ("trainer.test_freq", [-2], [-1, 0]),
]


def test_every_value_has_a_case() -> None:
    assert [key for key, _, _ in CASES] == [key for key, *_ in VALUES]


@pytest.mark.parametrize(("key", "wrong", "right"), CASES, ids=[key for key, _, _ in CASES])
def test_out_of_range(run: Run, key: str, wrong: list, right: list) -> None:
    expected = next(words for name, words, *_ in VALUES if name == key)
    for value in wrong:
        config = run.config()
        OmegaConf.update(config, key, value, force_add=".megatron." in key)
        assert run.refused_config(config) == f"{key}: expected {expected}, got {shown(value)}"
    for value in right:
        config = run.config()
        OmegaConf.update(config, key, value)
        run.check_config(config)


@pytest.mark.parametrize(("key", "names"), CHOICES)
def test_a_name_that_verl_does_not_have(run: Run, key: str, names: tuple[str, ...]) -> None:
    assert run.refused(f"{key}=fsdp3") == f"{key}: 'fsdp3' is not one of {', '.join(names)}"


def test_types_are_those_of_the_engine(run: Run) -> None:
    run.check(f"{ROLLOUT}.dtype=auto")
    assert run.refused(f"{ROLLOUT}.dtype=bf16").startswith(f"{ROLLOUT}.dtype: 'bf16' is not one of bfloat16, float16, ")


def test_the_rollout_engines_are_verls_and_ours() -> None:
    from verl.workers.rollout.base import _ROLLOUT_REGISTRY

    assert {name for name, _ in _ROLLOUT_REGISTRY} | {"hf"} == set(dict(CHOICES)[f"{ROLLOUT}.name"])


def test_the_engines_are_verls() -> None:
    from verl.workers.engine import EngineRegistry

    assert set(EngineRegistry._engines["language_model"]) <= set(ENGINES)
