"""What the stack needs of a configuration, and the local back end does not."""

import pytest
from omegaconf import OmegaConf

from recipe.zppo.config.engine import shown
from recipe.zppo.dry_run.planning import plan
from recipe.zppo.errors import ConfigError
from recipe.zppo.preflight.stack import check_stack
from tests.runnable import Run

LENGTHS = (
    "data.max_prompt_length=100",
    "data.max_response_length=50",
    "actor_rollout_ref.rollout.max_model_len=20000",
)


@pytest.mark.parametrize("name", ["actor.ppo_max_token_len_per_gpu", "rollout.log_prob_max_token_len_per_gpu"])
def test_a_micro_batch_that_holds_no_sequence(run: Run, name: str) -> None:
    check_stack(run.config(*LENGTHS, f"actor_rollout_ref.{name}=150"))
    config = run.config(*LENGTHS, f"actor_rollout_ref.{name}=149")
    said = f"actor_rollout_ref.{name}: 149 tokens do not hold one sequence, 150 = "
    with pytest.raises(ConfigError, match=said):
        check_stack(config)
    parallel = "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size=2"
    check_stack(run.config(*LENGTHS, f"actor_rollout_ref.{name}=75", parallel))
    # One process has no micro-batches: its checks, and its plan, do not read the key.
    run.check_config(config)
    assert not any(said in problem for problem in plan(config, stack=False).problems)
    assert any(problem.startswith(said) for problem in plan(config).problems)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.max_prompt_length", None),
        ("actor_rollout_ref.actor.ppo_max_token_len_per_gpu", None),
        ("actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu", "many"),
        ("actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size", "two"),
    ],
)
def test_what_is_no_number_is_one_line_of_the_plan(run: Run, key: str, value: str | None) -> None:
    config = run.config()
    OmegaConf.update(config, key, value)
    assert plan(config).problems == [f"{key}: expected a whole number of at least 1, got {shown(value)}"]


CONTENTS = "actor_rollout_ref.actor.checkpoint"
AFRESH, NO_EXPORT = "trainer.resume_mode=disable", "zppo.export.hf_model=false"
GOES_ON = "a run that goes on from a checkpoint would be another one; set [model,optimizer,extra], or trainer.resume_"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["save_contents=[model]"], f"save_contents: without optimizer and extra {GOES_ON}"),
        (["save_contents=[model,optimizer,hf_model]"], f"save_contents: without extra {GOES_ON}"),
        (["save_contents=[model,hf_model]", AFRESH], None),
        (["load_contents=[model,extra]"], f"load_contents: without optimizer {GOES_ON}"),
        (
            ["load_contents=[model]", "trainer.save_freq=-1", NO_EXPORT],
            f"load_contents: without optimizer and extra {GOES_ON}",
        ),
        (["load_contents=[model]", AFRESH], None),
        (["save_contents=[extra,hf_model,optimizer,model]"], None),
        (["save_contents=null"], None),
        (["save_contents=[optimizer,extra]", AFRESH], "save_contents: the final model is written from the last check"),
        (["save_contents=[optimizer,extra]", AFRESH, NO_EXPORT], None),
    ],
)
def test_checkpoints_that_a_run_could_not_go_on_from(run: Run, changes: list[str], said: str | None) -> None:
    config = run.config(*(change if change[:4] in ("trai", "zppo") else f"{CONTENTS}.{change}" for change in changes))
    run.check_config(config)  # the local back end saves all, whatever it says
    if said is None:
        return check_stack(config)
    with pytest.raises(ConfigError) as error:
        check_stack(config)
    assert str(error.value).startswith(f"{CONTENTS}.{said}")


def test_a_server_for_the_cpu_does_not_serve_a_gpu(run: Run) -> None:
    name = "actor_rollout_ref.rollout.name=hf"
    check_stack(run.config(name, "trainer.device=cpu"))
    with pytest.raises(ConfigError, match=r"rollout\.name: hf is a server for the CPU; platform=local_gpu is for"):
        check_stack(run.config(name))
