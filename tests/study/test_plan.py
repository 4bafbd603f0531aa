from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipe.zppo.study.config import read_config
from recipe.zppo.study.inputs import Inputs, plan_inputs
from recipe.zppo.study.overrides import effective, flatten, override
from recipe.zppo.study.plan import Cell, Derivation, Plan, Run, derivation_key
from tests.composed import compose

RUN = Run(
    row="zppo",
    world="firm",
    world_key="abc",
    backend="local",
    seed=0,
    steps=40,
    overrides=("platform=cpu", "zppo.threshold=0.5", "method=zppo"),
)


def plan_of(*arguments: str) -> Plan:
    config = read_config(arguments)
    return Plan(config, plan_inputs(config))


def ids(*arguments: str) -> set[str]:
    return {run.id for run in plan_of(*arguments).runs()}


def test_table_3_has_18_runs_whole_seeds_first():
    runs = plan_of().runs()
    assert len(runs) == 18
    assert [run.seed for run in runs] == [0] * 6 + [1] * 6 + [2] * 6
    assert len({run.id for run in runs}) == 18


def test_a_world_of_another_seed_is_another_run():
    config = read_config(["plan=pair", "worlds=[firm,firm-1]", "seeds=[0]"])
    worlds = plan_inputs(config)
    assert [Path(world.model).parent.name for world in worlds] == ["world-firm-0", "world-firm-1"]
    assert ids("plan=pair", "seeds=[0]") < ids("plan=pair", "seeds=[0]", "worlds=[firm,firm-1]")
    assert ids("plan=pair", "worlds=[firm-1]") == ids("plan=pair", "worlds=[firm]", "world_seed=1")


def test_plans_share_runs():
    assert ids("plan=pair") < ids("plan=table3") < ids("plan=full")


def test_rows_of_the_same_overrides_are_one_run():
    plan = plan_of("plan=pair", "rows.again={overrides: ['zppo.seed=0', 'method=grpo', 'method=zppo']}", "seeds=[0]")
    assert len(plan.runs()) == 3  # zppo.seed=0 is an override more
    plan = plan_of("plan=pair", "rows.again={overrides: ['method=grpo', 'method=zppo']}", "seeds=[0]")
    assert len(plan.runs()) == 2
    assert plan.run(Cell("firm", "again", 0)).id == plan.run(Cell("firm", "zppo", 0)).id


def test_the_id_is_that_of_the_content():
    reordered = replace(RUN, row="other", world="named otherwise", overrides=tuple(reversed(RUN.overrides)))
    assert reordered.id == RUN.id


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"steps": 41},
        {"backend": "verl"},
        {"world_key": "abd"},
        {"overrides": (*RUN.overrides, "zppo.threshold=0.4")},
        {"overrides": RUN.overrides[:-1]},
    ],
)
def test_the_id_changes_with_what_decides(change: dict):
    assert replace(RUN, **change).id != RUN.id


@pytest.mark.parametrize("change", ["world_seed=1", "settings.zppo.threshold=0.4"])
def test_another_world_or_a_common_setting_changes_every_run(change: str):
    assert not ids() & ids(change)


def test_rows_that_wait_come_last_and_have_no_run_until_their_steps_are_known():
    plan = plan_of("plan=controls")
    cells = list(plan.cells())
    assert {cell.row for cell in cells[-3:]} == {"grpo_replay_same_time"}
    assert plan.run(cells[-1]) is None and len(plan.runs()) == 9
    plan.derived["firm", "grpo_replay_same_time"] = 77
    assert plan.run(cells[-1]).steps == 77 and len(plan.runs()) == 12


@given(st.integers(1, 80), st.floats(0.1, 100), st.floats(0.1, 100), st.integers(1, 200))
def test_derived_steps_take_the_same_time_or_what_there_is(steps: int, model_s: float, own_s: float, available: int):
    times = dict(model_step_seconds=model_s, step_seconds=own_s)
    derivation = Derivation(key="", world="", row="", model_steps=steps, available=available, **times)
    assert 1 <= derivation.steps <= available
    if 1 < derivation.steps < available:
        assert abs(derivation.steps * own_s - steps * model_s) <= own_s / 2 * (1 + 1e-9)
    assert derivation.clipped <= (derivation.steps == available)


def test_a_derived_number_holds_for_more_seeds_but_not_for_other_settings():
    def key(*arguments: str) -> str:
        plan = plan_of("plan=controls", *arguments)
        return derivation_key(plan, plan.inputs[0], plan.row("grpo_replay_same_time"))

    assert key() == key("seeds=[0,1,2,3]")
    assert len({key(), key("steps=20"), key("settings.zppo.threshold=0.4"), key("worlds=[mild]")}) == 4


def test_overrides_carry_any_path_through_hydras_grammar(tmp_path):
    path = tmp_path / "it's = {a} \\'odd, place\\"
    inputs = Inputs(
        name="own", key="", model=str(path), teacher=str(path), train=str(path), val=str(path), shifted=None
    )
    config = compose(["platform=cpu", *inputs.overrides(0), override("data.val_files", [str(path), "b"])])
    assert config.actor_rollout_ref.model.path == str(path)
    assert config.zppo.teacher.path == str(path)
    assert list(config.data.val_files) == [str(path), "b"]


def test_settings_become_overrides_of_the_same_value():
    settings = {
        "data": {"train_batch_size": 16},
        "trainer": {"logger": ["console"]},
        "zppo": {"export": {"hf_model": False}},
    }
    config = compose([override(key, value) for key, value in flatten(settings)])
    assert config.data.train_batch_size == 16
    assert list(config.trainer.logger) == ["console"]
    assert config.zppo.export.hf_model is False


def test_a_later_override_wins_and_the_order_of_keys_does_not_matter():
    assert effective(["a=1", "+b=2", "a=3"]) == effective(["++a=3", "b=2"]) == {"a": "3", "b": "2"}


def test_each_seed_may_have_models_of_its_own_and_a_named_study_goes_on_elsewhere(own_data: list[str]):
    def run(*arguments: str, seed: int = 1):
        plan = plan_of(*own_data, "plan=pair", *arguments)
        inputs = plan.inputs[0]
        return plan.run(Cell(inputs.name, "zppo", seed)), inputs.overrides(seed)

    elsewhere = ["own.model=/b/student-@seed", "own.teacher=/b/teacher-@seed"]
    _, overrides = run(*elsewhere)
    assert overrides[:2] == [
        override("actor_rollout_ref.model.path", "/b/student-1"),
        override("zppo.teacher.path", "/b/teacher-1"),
    ]
    assert run()[0].id != run(*elsewhere)[0].id
    assert run("own.name=ours")[0].id == run("own.name=ours", *elsewhere)[0].id != run("own.name=theirs")[0].id
