"""What one process does not do is refused before anything is loaded: one line, with the key and the way out."""

import json

import pytest
from omegaconf import OmegaConf

from recipe.zppo.errors import ConfigError
from recipe.zppo.local.supported import NEEDED, check_rows, check_supported, check_text_models
from tests.composed import compose
from tests.runnable import row, write_rows

ACTOR = "actor_rollout_ref.actor"

# A value of each key that is refused, as `key=value`.
REFUSED = [
    f"{ACTOR}.loss_agg_mode=seq-mean-token-mean",
    f"{ACTOR}.policy_loss.loss_mode=gspo",
    f"{ACTOR}.use_kl_loss=true",
    f"{ACTOR}.entropy_coeff=0.01",
    "algorithm.use_kl_in_reward=true",
    "algorithm.rollout_correction.rollout_is=token",
    "algorithm.rollout_correction.rollout_rs=token_k1",
    f"{ACTOR}.optim.lr_scheduler_type=cosine",
    f"{ACTOR}.optim.lr_warmup_steps=10",
    f"{ACTOR}.optim.lr_warmup_steps_ratio=0.1",
    "actor_rollout_ref.model.lora_rank=8",
    "actor_rollout_ref.model.override_config.attn_implementation=eager",
    "actor_rollout_ref.model.external_lib=mine",
    "actor_rollout_ref.rollout.multi_turn.enable=true",
    "actor_rollout_ref.rollout.agent.default_agent_loop=tool_agent",
    "reward.reward_manager.name=dapo",
    "trainer.resume_mode=resume_path",
    "trainer.rollout_data_dir=dump",
    "trainer.validation_data_dir=dump",
    "trainer.log_val_generations=10",
]


def test_every_key_has_a_case():
    assert [case.partition("=")[0] for case in REFUSED] == list(NEEDED)


@pytest.mark.parametrize("platform", ["cpu", "local_gpu"])
def test_what_the_platforms_set_passes(platform):
    check_supported(compose([f"platform={platform}"]))


@pytest.mark.parametrize("override", REFUSED)
def test_it_names_key_value_and_remedy(override):
    key, _, value = override.partition("=")
    config = compose(["platform=cpu"])
    OmegaConf.update(config, key, OmegaConf.from_dotlist([f"x={value}"]).x, force_add=True)
    with pytest.raises(ConfigError) as error:
        check_supported(config)
    said = str(error.value)
    assert said.startswith(f"{key}: recipe.zppo.local ") and f", got {value}; set " in said and "\n" not in said
    assert said.endswith(", or use verl.trainer.main_zppo")


@pytest.mark.parametrize("key", ["train_files", "val_files"])
def test_rows_that_ask_for_an_agent_loop(tmp_path, key):
    names = [None, "single_turn_agent", "tool_agent", "mine"]
    plain = write_rows(tmp_path / "plain.parquet", [row(i, agent_name=name) for i, name in enumerate(names[:2])])
    named = write_rows(tmp_path / "named.parquet", [row(i, agent_name=name) for i, name in enumerate(names)])
    config = compose([f"data.train_files={plain}", f"data.val_files={plain}"])
    check_rows(config)
    config.data[key] = str(named)
    with pytest.raises(ConfigError) as error:
        check_rows(config)
    assert str(error.value) == (
        f"data.{key}: {named} row 2: agent_name=tool_agent: recipe.zppo.local asks one question and takes one answer; "
        "2 such row(s) in all; leave the column out, or use verl.trainer.main_zppo"
    )


def test_a_models_config_is_not_changed_on_the_way():
    config = compose(["platform=cpu", "+actor_rollout_ref.model.override_config.rope_theta=1e6"])
    with pytest.raises(ConfigError, match=r"^actor_rollout_ref\.model\.override_config\.rope_theta: recipe\.zppo\.loc"):
        check_supported(config)


@pytest.mark.parametrize(
    ("sees", "key"), [("student", "actor_rollout_ref.model.path"), ("teacher", "zppo.teacher.path")]
)
def test_models_with_images(tmp_path, sees, key):
    for name in ("student", "teacher"):
        folder = tmp_path / name
        folder.mkdir()
        content = {"model_type": "qwen3"} | ({"vision_config": {}} if name == sees else {})
        (folder / "config.json").write_text(json.dumps(content))
    paths = [f"actor_rollout_ref.model.path={tmp_path}/student", f"zppo.teacher.path={tmp_path}/teacher"]
    with pytest.raises(ConfigError) as error:
        check_text_models(compose(["platform=cpu", *paths]))
    assert str(error.value).startswith(f"{key}: {tmp_path}/{sees} takes images, and recipe.zppo.local is for text; ")
    if sees == "teacher":  # an endpoint loads its models itself
        check_text_models(compose(["platform=cpu", *paths, "zppo.teacher.base_url=http://127.0.0.1:9/v1"]))
