"""One test for every error that is promised before Ray starts, and for the nearest case that must pass."""

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import ray
import verl as verl_package

from recipe.zppo.errors import ConfigError
from recipe.zppo.preflight.settings import UNREAD
from tests.media.pictures import picture, png
from tests.runnable import BATCH, Run, row, write_rows


def refused(run: Run, *changes: str) -> str:
    """The message with which the run is refused: one line, and Ray is not started."""
    with pytest.raises(ConfigError) as error:
        run.check(*changes)
    assert "\n" not in str(error.value)
    assert not ray.is_initialized()
    return str(error.value)


def refused_rows(run: Run, rows: list[dict], *changes: str) -> str:
    write_rows(run.data, rows)
    return refused(run, *changes)


def test_a_sound_configuration_passes(run: Run) -> None:
    assert run.check().threshold == 0.5
    assert run.check(f"data.train_files=[{run.data}]", "data.train_max_samples=8").needs_teacher


# ---- data


def test_data_file_missing(run: Run) -> None:
    assert refused(run, "data.train_files=no.parquet") == "data.train_files: no.parquet does not exist"
    assert refused(run, "data.val_files=no.parquet") == "data.val_files: no.parquet does not exist"
    assert refused(run, "data.train_files=[]").startswith("data.train_files: set it to a parquet file")
    assert refused(run, "data.train_files=null").startswith("data.train_files: set it to a parquet file")


def test_data_file_empty_or_unreadable(run: Run) -> None:
    empty = run.folder / "empty.parquet"
    empty.touch()
    assert "is empty (0 bytes)" in refused(run, f"data.train_files={empty}")
    empty.write_bytes(b"not a parquet file")
    assert "can't be read" in refused(run, f"data.train_files={empty}")
    (run.folder / "rows.txt").write_text("x")
    assert "is not a .parquet, .json or .jsonl file" in refused(run, f"data.train_files={run.folder}/rows.txt")
    no_rows = run.folder / "no_rows.parquet"
    pq.write_table(pq.read_table(run.data).slice(0, 0), no_rows)
    assert "has no rows" in refused(run, f"data.train_files={no_rows}")


@pytest.mark.parametrize("column", ["prompt", "reward_model"])
def test_column_missing(run: Run, column: str) -> None:
    rows = [{key: value for key, value in row(i).items() if key != column} for i in range(BATCH)]
    assert f"has no column '{column}'; it has prompt_id, " in refused_rows(run, rows)


@pytest.mark.parametrize(
    "prompt", [None, [], [{"role": "user", "content": "  "}], [{"role": "system", "content": "Be brief."}]]
)
def test_row_without_question(run: Run, prompt: object) -> None:
    rows = [row(i) for i in range(BATCH)]
    rows[3] = row(3, prompt=prompt)
    rows[5] = row(5, prompt=prompt)
    message = refused_rows(run, rows)
    assert f"{run.data} row 3 has no question" in message and "2 such row(s) in all" in message


@pytest.mark.parametrize("answer", [None, "", " "])
def test_row_without_answer(run: Run, answer: str | None) -> None:
    rows = [row(i) for i in range(BATCH)]
    rows[2] = row(2, reward_model={"style": "rule", "ground_truth": answer})
    message = refused_rows(run, rows)
    assert f"{run.data} row 2 has no answer (reward_model.ground_truth is empty); 1 such row(s)" in message


def test_question_with_an_image_only_passes(run: Run) -> None:
    content, images = [{"type": "image", "text": None}], [{"bytes": png(picture(1)), "path": None}]
    write_rows(run.data, [row(i, prompt=[{"role": "user", "content": content}], images=images) for i in range(BATCH)])
    for model in (run.student, run.teacher):
        (model / "preprocessor_config.json").write_text("{}")
    run.check()


def test_duplicate_prompt_ids(run: Run) -> None:
    message = refused_rows(run, [row(i, prompt_id=f"q{i % 7}") for i in range(9)])
    assert f"{run.data} row 7 repeats prompt_id='q0' of row 0 (2 repeated in all)" in message


def test_duplicate_prompt_ids_across_files(run: Run) -> None:
    other = write_rows(run.folder / "other.parquet", [row(100), row(3)])
    message = refused(run, f"data.train_files=[{run.data},{other}]")
    assert f"{other} row 1 repeats prompt_id='q3' of row 3 of {run.data}" in message


def test_prompt_id_column(run: Run) -> None:
    rows = [{key: value for key, value in row(i).items() if key != "prompt_id"} for i in range(BATCH)]
    assert "row 1 has no id" in refused_rows(run, [row(0), row(1, prompt_id=None), row(2)])
    assert "has no column 'key'" in refused_rows(run, rows, "zppo.data.prompt_id_key=key")
    run.check()  # under its default name the column may be absent


def test_jsonl_files_are_read_too(run: Run) -> None:
    path = run.folder / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row(i)) for i in range(BATCH)))
    run.check(f"data.train_files={path}")
    path.write_text("\n".join(json.dumps(row(i, prompt_id="same")) for i in range(BATCH)))
    assert "row 1 repeats prompt_id='same' of row 0" in refused(run, f"data.train_files={path}")


# ---- batches and groups


def test_group_size_one(run: Run) -> None:
    assert refused(run, "actor_rollout_ref.rollout.n=1").startswith("actor_rollout_ref.rollout.n: a group of 1 has no")
    assert "must be a whole number" in refused(run, "actor_rollout_ref.rollout.n=0")


def test_batch_size_that_cannot_be_met(run: Run) -> None:
    expected = "data.train_batch_size: 32 new prompts a step can't be met by 16 training rows"
    assert refused(run, "data.train_batch_size=32").startswith(expected)
    assert "by 5 training rows" in refused(run, "data.train_max_samples=5")
    assert refused(run, "data.train_batch_size=2.5").startswith("data.train_batch_size: must be a whole number")
    assert refused(run, "zppo.updates_per_step=9").startswith("zppo.updates_per_step: 9 updates can't share")


@pytest.mark.parametrize("part", ["replay", "reformulation"])
def test_fraction_of_less_than_one_prompt(run: Run, part: str) -> None:
    assert refused(run, f"zppo.{part}.fraction=0.1").startswith(f"zppo.{part}.fraction: 0.1 of data.train_batch_size=8")
    run.check(f"zppo.{part}.fraction=0.125")
    run.check(f"zppo.{part}.fraction=0.1", f"zppo.{part}.enable=false")


@pytest.mark.parametrize(
    ("key", "value"),
    [("threshold", 1.5), ("replay.fraction", 2), ("reformulation.fraction", -1), ("replay.capacity", 0)],
)
def test_out_of_range(run: Run, key: str, value: float) -> None:
    message = refused(run, f"zppo.{key}={value}")
    assert message.startswith(f"zppo.{key}: ") and "is out of range; it must be at" in message.replace(
        "greater than", "at"
    )


# ---- keys that would be ignored, settings that conflict


@pytest.mark.parametrize(
    "key",
    ["custom_reward_function.path", "reward_model.reward_manager", "reward_model.model.path", "sandbox_fusion.url"],
)
def test_legacy_key(run: Run, key: str) -> None:
    assert refused(run, f"{key}=x").startswith(f"{key}: verl's V1 trainer ignores this key; set reward.")


@pytest.mark.parametrize(
    "override",
    [
        "trainer.use_v1=false",
        "trainer.v1.trainer_mode=sync",
        "algorithm.adv_estimator=grpo",
        "algorithm.filter_groups.enable=true",
        "distillation.enabled=true",
        "actor_rollout_ref.hybrid_engine=false",
        "actor_rollout_ref.actor.ppo_epochs=2",
        "actor_rollout_ref.actor.ppo_mini_batch_size=4",
        "actor_rollout_ref.rollout.agent.agent_loop_manager_class=null",
        "data.gen_batch_size=4",
        "data.return_raw_chat=false",
    ],
)
def test_setting_that_conflicts(run: Run, override: str) -> None:
    assert refused(run, override).startswith(override.partition("=")[0] + ": ")


def test_validation_only_needs_validation(run: Run) -> None:
    assert refused(run, "trainer.val_only=true", "trainer.val_before_train=false").startswith("trainer.val_only: ")
    run.check("trainer.val_only=true")


@pytest.mark.parametrize("key", [key for key, _, _ in UNREAD])
def test_key_that_verl_never_reads(run: Run, key: str) -> None:
    assert refused(run, f"{key}=0.5").startswith(f"{key}: 0.5 would do nothing")


def test_verl_still_reads_none_of_them() -> None:
    """Outside of the dataclasses that declare them and of trainers that are not V1's."""
    verl = Path(verl_package.__file__).parent
    elsewhere = ("workers/config/", "trainer/config/", "trainer/ppo/ray_trainer.py", "experimental/")
    sources = {str(path.relative_to(verl)): path.read_text() for path in verl.rglob("*.py")}
    names = "|".join(key.rpartition(".")[2] for key, _, _ in UNREAD)
    reads = re.compile(rf"""\.(?:{names})\b|["'](?:{names})["']""")
    assert reads.search(sources["trainer/ppo/ray_trainer.py"])
    found = {name: reads.findall(text) for name, text in sources.items() if not name.startswith(elsewhere)}
    assert {name: hits for name, hits in found.items() if hits} == {}


def test_unknown_key(run: Run) -> None:
    assert (
        refused(run, "+zppo.replay.size=3")
        == "zppo.replay.size: unknown key; known keys: enable, fraction, capacity, weights"
    )
    assert "did you mean zppo.teacher.inference.dtype?" in refused(run, "+zppo.teacher.inference.dtyp=float32")


# ---- models and context


@pytest.mark.parametrize("key", ["actor_rollout_ref.model.path", "zppo.teacher.path"])
def test_model_path(run: Run, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(run, f"{key}=/no/such/model") == f"{key}: the folder /no/such/model does not exist"
    assert refused(run, f"{key}=./model").startswith(f"{key}: the folder ./model does not exist")
    bare = run.folder / "bare"
    bare.mkdir()
    assert "without config.json" in refused(run, f"{key}={bare}")
    assert "is a file" in refused(run, f"{key}={run.data}")
    assert refused(run, f"{key}=null").startswith(f"{key}: ")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    run.check(f"{key}=Qwen/Qwen3-0.6B")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "nor in the local hub cache" in refused(run, f"{key}=no-such-owner/no-such-model")


def test_teacher_path_matters_only_with_a_teacher(run: Run) -> None:
    run.check("zppo.teacher.path=/no/such/model", "zppo.reformulation.enable=false")


def test_student_context_too_short_for_bcq(run: Run) -> None:
    """4096 + 2 x 512 + 128 (no tokenizer in the folder) + 12288 = 17536."""
    key = "actor_rollout_ref.rollout.max_model_len"
    message = refused(run, f"{key}=17535")
    assert message.startswith(f"{key}: 17535 tokens of context are too few for a BCQ prompt, 17536 = ")
    run.check(f"{key}=17536")
    run.check(f"{key}=17024", "zppo.reformulation.bcq=false")
    assert "too few for an NCQ prompt" in refused(run, f"{key}=17023", "zppo.reformulation.bcq=false")
    assert "too few for a prompt" in refused(run, f"{key}=16383", "zppo.reformulation.enable=false")


def test_context_beyond_the_positions_of_the_model(run: Run) -> None:
    run.model("student", max_position_embeddings=20_000)
    assert "24576 is more than the 20000 positions of the model" in refused(run)
    run.model("student", text_config={"max_position_embeddings": 17_000}, max_position_embeddings=99_999)
    assert "17000 tokens of context are too few" in refused(run, "actor_rollout_ref.rollout.max_model_len=null")


def test_teacher_context(run: Run) -> None:
    key = "zppo.teacher.inference.max_model_len"
    assert refused(run, f"{key}=16383").startswith(f"{key}: 16383 tokens of context are too few for a teacher rollout")
    run.check(f"{key}=16384")
    shorter = "zppo.reformulation.bcq=false"
    assert "too few to compress a response, 12928 =" in refused(run, f"{key}=12927", shorter)
    run.check(f"{key}=12928", shorter)


def test_teacher_pool_that_replicas_do_not_fill(run: Run) -> None:
    message = refused(run, "zppo.teacher.inference.tensor_model_parallel_size=3")
    assert message.startswith("zppo.teacher.n_gpus_per_node: a pool of 2")


def test_reward_function(run: Run) -> None:
    key = "reward.custom_reward_function.path"
    assert refused(run, f"{key}=null").startswith(f"{key}: must be set")
    assert refused(run, f"{key}=no.py") == f"{key}: no.py does not exist"
    run.check(f"{key}={Path(__file__)}")


# ---- resume


def test_resume(run: Run) -> None:
    assert "is not one of auto, disable, resume_path" in refused(run, "trainer.resume_mode=always")
    assert "ignored while trainer.resume_mode=auto" in refused(run, "trainer.resume_from_path=x")
    mode = "trainer.resume_mode=resume_path"
    assert refused(run, mode).startswith("trainer.resume_from_path: set it to a folder")
    assert "does not end in global_step_<N>" in refused(run, mode, f"trainer.resume_from_path={run.folder}")
    step = run.folder / "global_step_3"
    assert "does not exist" in refused(run, mode, f"trainer.resume_from_path={step}")
    step.mkdir()
    run.check(mode, f"trainer.resume_from_path={step}")


def test_mandatory_key(run: Run) -> None:
    assert refused(run, "data.train_batch_size=???").startswith("a mandatory key is not set: ")


def test_final_model_needs_checkpoints(run: Run) -> None:
    assert refused(run, "trainer.save_freq=-1").startswith("zppo.export.hf_model: the model is written from the last")
    run.check("trainer.save_freq=-1", "zppo.export.hf_model=false")


def test_more_steps_than_the_data_give(run: Run) -> None:
    assert refused(run, "trainer.total_training_steps=3").startswith("trainer.total_training_steps: 3 steps of 8")
    run.check("trainer.total_training_steps=3", "trainer.total_epochs=2")


def test_reward_model_needs_its_own_accelerators(run: Run) -> None:
    assert refused(run, "reward.reward_model.enable=true").startswith(
        "reward.reward_model.enable: a reward model beside"
    )


# ---- endpoint and judge


def free_form(number: int) -> dict:
    return row(number, extra_info={"index": number, "answer_type": "free_form"})


def test_free_form_rows_need_a_judge(run: Run) -> None:
    rows = [row(i, extra_info={"index": i, "answer_type": "rule"}) for i in range(2 * BATCH)]
    rows[3], rows[5] = free_form(3), free_form(5)
    train = write_rows(run.folder / "free.parquet", rows)
    message = refused(run, f"data.train_files={train}")
    assert message.startswith(f"data.train_files: {train} row 3 has no judge (extra_info.answer_type is free_form; ")
    assert "set zppo.judge.enable=true" in message and "2 such row(s) in all" in message
    assert refused(run, f"data.val_files={train}").startswith(f"data.val_files: {train} row 3 has no judge")
    lines = run.folder / "rows.jsonl"
    lines.write_text("\n".join(json.dumps(r) for r in rows))
    assert "row 3 has no judge" in refused(run, f"data.train_files={lines}")
    run.check(f"data.train_files={lines}", f"data.val_files={train}", "zppo.judge.enable=true")


def test_a_judge_needs_a_teacher_also_where_the_method_needs_none(run: Run) -> None:
    grpo = ("zppo.reformulation.enable=false", "zppo.replay.enable=false", "zppo.judge.enable=true")
    assert refused(run, *grpo, "zppo.teacher.path=null").startswith("zppo.teacher.path: this method needs a teacher")
    zppo = run.check(*grpo)
    assert zppo.needs_teacher and zppo.placed_teachers == [str(run.teacher)]
    assert not run.check(*grpo[:2]).needs_teacher


def test_the_judges_context(run: Run) -> None:
    key = "zppo.teacher.inference.max_model_len"
    grpo = ("zppo.reformulation.enable=false", "zppo.judge.enable=true")
    message = refused(run, f"{key}=5500", *grpo)
    assert message.startswith(f"{key}: 5500 tokens of context are too few to judge an answer, ")
    needed = int(message.split("answer, ")[1].split(" =")[0])
    run.check(f"{key}={needed}", *grpo)
    assert "too few to judge" in refused(run, f"{key}={needed - 1}", *grpo)


def test_a_checkpoint_of_another_number_of_ranks(run: Run) -> None:
    folder = run.folder / "run"
    saved = folder / "global_step_4"
    (saved / "actor").mkdir(parents=True)
    (saved / "zppo_complete.json").touch()
    (saved / "actor/fsdp_config.json").write_text('{"FSDP_version": 2, "world_size": 48}')
    at = f"trainer.default_local_dir={folder}"
    run.check(at, "trainer.n_gpus_per_node=6", "trainer.nnodes=8", "zppo.teacher.nnodes=8")
    message = refused(run, at, "trainer.n_gpus_per_node=6")
    assert message.startswith(f"trainer.n_gpus_per_node: {saved} was saved by 48 ranks") and "= 6;" in message
    named = ("trainer.resume_mode=resume_path", f"trainer.resume_from_path={saved}")
    assert "was saved by 48 ranks" in refused(run, *named)
    run.check(at, "trainer.resume_mode=disable")


URL = "zppo.teacher.base_url"


@pytest.mark.parametrize("url", ["host:8000", "ftp://host/v1", "http://", "http://host:x/v1", "/v1", "https://:80"])
def test_an_address_that_is_none(run: Run, url: str) -> None:
    assert refused(run, f"{URL}={url}").startswith(f"{URL}: expected an address such as http://")


@pytest.mark.parametrize("url", ["https://me:sk-1@host/v1", "https://sk-1@host/v1", "https://host/v1?key=sk-1"])
def test_a_key_in_the_address_is_refused_and_not_repeated(run: Run, url: str) -> None:
    message = refused(run, f"{URL}={url}")
    assert "ZPPO_TEACHER_API_KEY" in message and "sk-1" not in message


def test_a_key_in_the_configuration_is_refused_and_not_repeated(run: Run) -> None:
    message = refused(run, "zppo.teacher.api_key_env=sk-123")
    assert message.startswith("zppo.teacher.api_key_env: expected the name") and "sk-123" not in message
    message = refused(run, "+ray_kwargs.ray_init.runtime_env.env_vars.ZPPO_TEACHER_API_KEY=sk-123")
    assert "would be logged" in message and "sk-123" not in message


def test_fields_that_only_vllm_has(run: Run) -> None:
    key = "zppo.teacher.openai_fields_only"
    assert refused(run, f"{key}=true") == f"{key}: there is no endpoint (zppo.teacher.base_url); set false"
    message = refused(run, f"{key}=true", f"{URL}=http://127.0.0.1:9/v1", "zppo.teacher.top_k=20")
    assert message == f"{key}: a top-k is no field of OpenAI's; set zppo.teacher.top_k=-1"


def test_distillation_from_an_endpoint(run: Run) -> None:
    message = refused(
        run,
        f"{URL}=http://127.0.0.1:9/v1",
        "zppo.reformulation.enable=false",
        "zppo.distillation.mode=on_policy",
    )
    assert message.startswith(f"{URL}: distillation needs the teacher's probabilities")


def test_an_endpoint_needs_no_folder_and_no_accelerators(run: Run) -> None:
    changes = (f"{URL}=http://127.0.0.1:9/v1", "zppo.teacher.path=Qwen3.5-27B", "zppo.teacher.n_gpus_per_node=3")
    shape = "zppo.teacher.inference.tensor_model_parallel_size=2"
    assert refused(run, *changes, shape).startswith(f"{URL}: http://127.0.0.1:9/v1: can't be reached")  # the last check
    assert run.check(*changes, shape, "zppo.reformulation.enable=false").placed_teachers == []
