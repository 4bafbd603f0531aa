"""The teachers' configuration as verl's manager reads it."""

import pytest
from omegaconf import OmegaConf
from verl.utils.config import omega_conf_to_dataclass

from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.on_verl.teacher_servers import _teacher_config
from tests.composed import compose


def teachers(*overrides):
    base = ["zppo.teacher.path=first", "actor_rollout_ref.model.path=student", "zppo.teacher.n_gpus_per_node=4"]
    config = compose(["platform=cpu", *base, *overrides])
    zppo = validate_zppo(config.zppo)
    return omega_conf_to_dataclass(_teacher_config(config, zppo).distillation)


def test_one_teacher_fills_its_pool():
    config = teachers()
    ((key, teacher),) = config.teacher_models.items()
    assert (key, teacher.model_path, teacher.num_replicas) == ("default", "first", 4)


def test_several_teachers_have_a_pool_each_in_the_order_in_which_they_are_asked():
    config = teachers("zppo.teacher.more=[second,third]", "zppo.teacher.inference.tensor_model_parallel_size=2")
    found = [(key, t.model_path, t.num_replicas, t.world_size) for key, t in config.teacher_models.items()]
    assert found == [(f"teacher_{i}", path, 2, 4) for i, path in enumerate(("first", "second", "third"))]
    assert config.n_gpus_per_node * config.nnodes == 12


@pytest.mark.parametrize(("topk", "limit"), [("64", 64), ("null", -1)])
def test_vllm_is_allowed_as_many_log_probs_as_distillation_takes(topk, limit):
    config = teachers(
        "platform=cpu_vllm",
        "method=on_distill",
        f"zppo.distillation.topk={topk}",
        "actor_rollout_ref.rollout.name=vllm",
    )
    (teacher,) = config.teacher_models.values()
    assert OmegaConf.select(OmegaConf.create(teacher.inference.engine_kwargs), "vllm.max_logprobs") == limit


def test_vllm_scores_few_tokens_at_once_since_it_holds_their_logits():
    scored = ("platform=cpu_vllm", "method=on_distill", "actor_rollout_ref.rollout.name=vllm")
    own = "zppo.teacher.inference.max_num_batched_tokens=512"
    for overrides, tokens in ((scored, 2048), ((*scored, own), 512)):
        (teacher,) = teachers(*overrides).teacher_models.values()
        assert teacher.inference.max_num_batched_tokens == tokens
    (teacher,) = teachers("~zppo.teacher.inference.max_num_batched_tokens").teacher_models.values()
    assert teacher.inference.max_num_batched_tokens == 8192  # verl's
