"""One test for every error that is promised before Ray starts, and for the nearest case that must pass."""

import json
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import verl as verl_package

from recipe.zppo.preflight.settings import UNREAD
from tests.media.pictures import picture, png
from tests.runnable import BATCH, Run, row, write_rows

CONTEXT, TEACHER_CONTEXT = "actor_rollout_ref.rollout.max_model_len", "zppo.teacher.inference.max_model_len"
URL, OPENAI_ONLY = "zppo.teacher.base_url", "zppo.teacher.openai_fields_only"
ENDPOINT, LEGACY = f"{URL}=http://127.0.0.1:9/v1", "verl's V1 trainer ignores this key; set reward.…"
ACTOR, DTYPE, OVERRIDE = "actor_rollout_ref.actor", "fsdp_config.model_dtype", "optim.override_optimizer_config"
MANAGER = "actor_rollout_ref.rollout.agent.agent_loop_manager_class"
N, REWARD, RESUME = "actor_rollout_ref.rollout.n", "reward.custom_reward_function.path", "trainer.resume_from_path"
NO_BCQ, PLAIN = "zppo.reformulation.bcq=false", "zppo.reformulation.enable=false"

CASES = [
    # files
    ("data.train_files=no.parquet", "data.train_files: no.parquet does not exist"),
    ("data.val_files=no.parquet", "data.val_files: no.parquet does not exist"),
    ("data.train_files=[]", "data.train_files: set it to a parquet file…"),
    ("data.train_files=null", "data.train_files: set it to a parquet file…"),
    # batches and groups
    (f"{N}=1", f"{N}: a group of 1 has no…"),
    (f"{N}=0", f"{N}: must be a whole number…"),
    ("data.train_batch_size=32", "data.train_batch_size: 32 new prompts a step can't be met by 16 training rows…"),
    ("data.train_max_samples=5", "data.train_batch_size: … by 5 training rows…", "data.train_max_samples=8"),
    ("data.train_batch_size=2.5", "data.train_batch_size: must be a whole number…"),
    ("data.train_batch_size=???", "a mandatory key is not set: …"),
    ("zppo.updates_per_step=9", "zppo.updates_per_step: 9 updates can't share…"),
    *(
        (
            f"zppo.{part}.fraction=0.1",
            f"zppo.{part}.fraction: 0.1 of data.train_batch_size=8…",
            f"zppo.{part}.fraction=0.125",
            f"zppo.{part}.fraction=0.1 zppo.{part}.enable=false",
        )
        for part in ("replay", "reformulation")
    ),
    ("zppo.replay.capacity=0", "zppo.replay.capacity: 0 is out of range; it must be at…"),
    (
        f"zppo.reformulation.pre_cap=admissible zppo.reformulation.hint=true {NO_BCQ}",
        "zppo.reformulation.pre_cap: hint asks the teacher about the questions that the cap has kept…",
        f"zppo.reformulation.hint=true {NO_BCQ}",
        "zppo.reformulation.pre_cap=admissible",
    ),
    (
        "zppo.data.min_pixels=9 zppo.data.max_pixels=8",
        "zppo.data.min_pixels: 9 is more than zppo.data.max_pixels=8; lower it",
        "zppo.data.min_pixels=8 zppo.data.max_pixels=8",
    ),
    # keys and steps
    ("+zppo.replay.size=3", "zppo.replay.size: unknown key; known keys: enable, fraction, capacity, weights"),
    ("+zppo.teacher.inference.dtyp=float32", "…did you mean zppo.teacher.inference.dtype?…"),
    ("trainer.val_only=true trainer.val_before_train=false", "trainer.val_only: …", "trainer.val_only=true"),
    (
        "trainer.save_freq=-1",
        "zppo.export.hf_model: the model is written from the last…",
        "trainer.save_freq=-1 zppo.export.hf_model=false",
    ),
    (
        "trainer.total_training_steps=3",
        "trainer.total_training_steps: 3 steps of 8…",
        "trainer.total_training_steps=3 trainer.total_epochs=2",
    ),
    # teacher and reward
    ("zppo.teacher.path=/no", "zppo.teacher.path: the folder /no does not exist", f"zppo.teacher.path=/no {PLAIN}"),
    (
        f"{TEACHER_CONTEXT}=16383",
        f"{TEACHER_CONTEXT}: 16383 tokens of context are too few for a teacher rollout…",
        f"{TEACHER_CONTEXT}=16384",
    ),
    (
        f"{TEACHER_CONTEXT}=12927 {NO_BCQ}",
        f"{TEACHER_CONTEXT}: …too few to compress a response, 12928 =…",
        f"{TEACHER_CONTEXT}=12928 {NO_BCQ}",
    ),
    ("zppo.teacher.inference.tensor_model_parallel_size=3", "zppo.teacher.n_gpus_per_node: a pool of 2…"),
    (f"{REWARD}=null", f"{REWARD}: must be set…"),
    (f"{REWARD}=no.py", f"{REWARD}: no.py does not exist", f"{REWARD}={__file__}"),
    ("reward.reward_model.enable=true", "reward.reward_model.enable: a reward model beside…"),
    # the judge
    *(
        (
            f"zppo.judge.{route}=unresolved",
            f"zppo.judge.{route}: there is no judge for what the reward function leaves unresolved; set zppo.judge.en…",
            f"zppo.judge.{route}=unresolved zppo.judge.enable=true",
        )
        for route in ("route", "validation_route")
    ),
    ("zppo.judge.route=all", "zppo.judge.route: 'all' is not one of free_form, unresolved"),
    ("zppo.judge.response=end", "zppo.judge.response: 'end' is not one of extracted, whole"),
    (
        "zppo.judge.enable=true zppo.judge.template=no.txt",
        "zppo.judge.template: no.txt can't be read: No such file or directory",
        "zppo.judge.template=no.txt",
    ),
    (
        "zppo.judge.enable=true zppo.judge.template={run.folder}",
        "zppo.judge.template: … can't be read: Is a directory",
    ),
    # resume
    ("trainer.resume_mode=always", "trainer.resume_mode: …is not one of auto, disable, resume_path…"),
    (f"{RESUME}=x", f"{RESUME}: …ignored while trainer.resume_mode=auto…"),
    ("trainer.resume_mode=resume_path", f"{RESUME}: set it to a folder…"),
    (
        f"trainer.resume_mode=resume_path {RESUME}={{run.folder}}",
        f"{RESUME}: …does not end in global_step_<N>…",
        f"trainer.resume_mode=resume_path {RESUME}={{run.step}}",
    ),
    (f"trainer.resume_mode=resume_path {RESUME}={{run.step}}0", f"{RESUME}: …does not exist…"),
    # an endpoint
    (f"{OPENAI_ONLY}=true", f"{OPENAI_ONLY}: there is no endpoint (zppo.teacher.base_url); set false"),
    (
        f"{OPENAI_ONLY}=true {ENDPOINT} zppo.teacher.top_k=20",
        f"{OPENAI_ONLY}: a top-k is no field of OpenAI's; set zppo.teacher.top_k=-1",
    ),
    (
        f"{ENDPOINT} {PLAIN} zppo.distillation.mode=on_policy",
        "zppo.teacher.base_url: distillation needs the teacher's probabilities…",
    ),
    *(
        (f"{URL}={url}", f"{URL}: expected an address such as http://…")
        for url in ("host:8000", "ftp://host/v1", "http://", "http://host:x/v1", "/v1", "https://:80")
    ),
    # keys that verl's V1 trainer ignores, or that nothing in verl reads
    ("custom_reward_function.path=x", f"custom_reward_function.path: {LEGACY}"),
    ("reward_model.reward_manager=x", f"reward_model.reward_manager: {LEGACY}"),
    ("reward_model.model.path=x", f"reward_model.model.path: {LEGACY}"),
    ("sandbox_fusion.url=x", f"sandbox_fusion.url: {LEGACY}"),
    *((f"{key}=0.5", f"{key}: 0.5 would do nothing…") for key, _, _ in UNREAD),
    # the optimiser, by its name and by verl's keys
    ("zppo.optimizer=adamw", "zppo.optimizer: …"),
    *(
        (f"zppo.optimizer={name} {ACTOR}.{changed}", f"{ACTOR}.{message} contradicts zppo.optimizer={name}…", passes)
        for name, changed, message, passes in (
            ("anyprecision", f"{DTYPE}=fp32", f"{DTYPE}: fp32", f"zppo.optimizer=anyprecision {ACTOR}.{DTYPE}=bf16"),
            ("stochastic", f"{DTYPE}=fp32", f"{DTYPE}: fp32", "zppo.optimizer=stochastic"),
            ("fp32", f"{DTYPE}=bfloat16", f"{DTYPE}: bfloat16", f"zppo.optimizer=fp32 {ACTOR}.{DTYPE}=float32"),
            ("fp32", "optim.optimizer=SGD", "optim.optimizer: SGD", "zppo.optimizer=fp32"),
            (
                "anyprecision",
                f'{OVERRIDE}={{{{"kahan_sum":true,"decouple_lr":true,"triton":false}}}}',
                f"{OVERRIDE}.decouple_lr: True",
                f'{ACTOR}.{OVERRIDE}={{{{"kahan_sum":true,"decouple_lr":false,"triton":false,"eps":1.0e-7}}}}',
            ),
            ("anyprecision", f"{OVERRIDE}=null", f"{OVERRIDE}.kahan_sum: None", "zppo.seed=1"),
            ("stochastic", f"{OVERRIDE}=null", f"{OVERRIDE}.bf16_stochastic_round: None", "zppo.seed=1"),
        )
    ),
    # settings that conflict
    ("trainer.use_v1=false", "trainer.use_v1: …"),
    ("trainer.v1.trainer_mode=sync", "trainer.v1.trainer_mode: …"),
    ("algorithm.adv_estimator=grpo", "algorithm.adv_estimator: …"),
    ("algorithm.filter_groups.enable=true", "algorithm.filter_groups.enable: …"),
    ("distillation.enabled=true", "distillation.enabled: …"),
    ("actor_rollout_ref.hybrid_engine=false", "actor_rollout_ref.hybrid_engine: …"),
    ("actor_rollout_ref.actor.ppo_epochs=2", "actor_rollout_ref.actor.ppo_epochs: …"),
    ("actor_rollout_ref.actor.shuffle=true", "actor_rollout_ref.actor.shuffle: must be false, got true: …"),
    (
        "actor_rollout_ref.actor.data_loader_seed=7",
        "actor_rollout_ref.actor.data_loader_seed: must be 42, got 7: it would do nothing: …",
        "zppo.seed=7",
    ),
    ("actor_rollout_ref.actor.ppo_mini_batch_size=4", "actor_rollout_ref.actor.ppo_mini_batch_size: …"),
    (f"{MANAGER}=null", f"{MANAGER}: …"),
    ("data.gen_batch_size=4", "data.gen_batch_size: …"),
    ("data.return_raw_chat=false", "data.return_raw_chat: …"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_it_is_refused_and_the_nearest_case_passes(run: Run, case: tuple[str, ...]) -> None:
    run.step = run.folder / "global_step_3"
    run.step.mkdir()
    run.check_case(*case)


def test_student_context_too_short_for_bcq(run: Run) -> None:
    """4096 + 2 x 512 + 128 (no tokenizer in the folder) + 12288 = 17536."""
    message = f"{CONTEXT}: 17535 tokens of context are too few for a BCQ prompt, 17536 = …"
    run.check_case(f"{CONTEXT}=17535", message, f"{CONTEXT}=17536", f"{CONTEXT}=17024 {NO_BCQ}")
    run.check_case(f"{CONTEXT}=17023 {NO_BCQ}", f"{CONTEXT}: …too few for an NCQ prompt…")
    run.check_case(f"{CONTEXT}=16383 {PLAIN}", f"{CONTEXT}: …too few for a prompt…")


def test_a_sound_configuration_passes(run: Run) -> None:
    assert run.check().threshold == 0.5
    assert run.check(f"data.train_files=[{run.data}]", "data.train_max_samples=8").needs_teacher


def refused_rows(run: Run, rows: list[dict], *changes: str) -> str:
    write_rows(run.data, rows)
    return run.refused(*changes)


# ---- data


def test_data_file_empty_or_unreadable(run: Run) -> None:
    empty = run.folder / "empty.parquet"
    empty.touch()
    assert "is empty (0 bytes)" in run.refused(f"data.train_files={empty}")
    empty.write_bytes(b"not a parquet file")
    assert "can't be read" in run.refused(f"data.train_files={empty}")
    (run.folder / "rows.txt").write_text("x")
    assert "is not a .parquet, .json or .jsonl file" in run.refused(f"data.train_files={run.folder}/rows.txt")
    no_rows = run.folder / "no_rows.parquet"
    pq.write_table(pq.read_table(run.data).slice(0, 0), no_rows)
    assert "has no rows" in run.refused(f"data.train_files={no_rows}")


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
    assert "row 1 repeats prompt_id='same' of row 0" in run.refused(f"data.train_files={path}")


# ---- keys that would be ignored


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


# ---- models and context


@pytest.mark.parametrize("key", ["actor_rollout_ref.model.path", "zppo.teacher.path"])
def test_model_path(run: Run, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run.refused(f"{key}=/no/such/model") == f"{key}: the folder /no/such/model does not exist"
    assert run.refused(f"{key}=./model").startswith(f"{key}: the folder ./model does not exist")
    bare = run.folder / "bare"
    bare.mkdir()
    assert "without config.json" in run.refused(f"{key}={bare}")
    assert "is a file" in run.refused(f"{key}={run.data}")
    assert run.refused(f"{key}=null").startswith(f"{key}: ")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    run.check(f"{key}=Qwen/Qwen3-0.6B")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "nor in the local hub cache" in run.refused(f"{key}=no-such-owner/no-such-model")


def test_context_beyond_the_positions_of_the_model(run: Run) -> None:
    run.model("student", max_position_embeddings=20_000)
    assert "24576 is more than the 20000 positions of the model" in run.refused()
    run.model("student", text_config={"max_position_embeddings": 17_000}, max_position_embeddings=99_999)
    assert "17000 tokens of context are too few" in run.refused("actor_rollout_ref.rollout.max_model_len=null")


# ---- endpoint and judge


def free_form(number: int) -> dict:
    return row(number, extra_info={"index": number, "answer_type": "free_form"})


def test_free_form_rows_need_a_judge(run: Run) -> None:
    rows = [row(i, extra_info={"index": i, "answer_type": "rule"}) for i in range(2 * BATCH)]
    rows[3], rows[5] = free_form(3), free_form(5)
    train = write_rows(run.folder / "free.parquet", rows)
    message = run.refused(f"data.train_files={train}")
    assert message.startswith(f"data.train_files: {train} row 3 has no judge (extra_info.answer_type is free_form; ")
    assert "set zppo.judge.enable=true" in message and "2 such row(s) in all" in message
    assert run.refused(f"data.val_files={train}").startswith(f"data.val_files: {train} row 3 has no judge")
    lines = run.folder / "rows.jsonl"
    lines.write_text("\n".join(json.dumps(r) for r in rows))
    assert "row 3 has no judge" in run.refused(f"data.train_files={lines}")
    run.check(f"data.train_files={lines}", f"data.val_files={train}", "zppo.judge.enable=true")


def test_a_judge_needs_a_teacher_also_where_the_method_needs_none(run: Run) -> None:
    grpo = ("zppo.reformulation.enable=false", "zppo.replay.enable=false", "zppo.judge.enable=true")
    assert run.refused(*grpo, "zppo.teacher.path=null").startswith("zppo.teacher.path: this method needs a teacher")
    zppo = run.check(*grpo)
    assert zppo.needs_teacher and zppo.placed_teachers == [str(run.teacher)]
    assert not run.check(*grpo[:2]).needs_teacher


GOOD = b"{question} {response} {gold}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the placeholder {question} is missing; there are {question}, {options}, {response}, {gold}"),
        (b"{question} {response}", "the placeholder {gold} is missing; …"),
        (GOOD + b" {answer}", "{answer} is no placeholder; there are {question}, …"),
        (GOOD + b" {gold}", "{gold} stands there more than once; …"),
        (GOOD + b" \xff", "is no text in UTF-8"),
        (GOOD + b"." * 65_536, "has more than 65536 bytes; that is no template"),
    ],
)
def test_a_template_of_the_judge_that_can_not_work(run: Run, content: bytes, message: str) -> None:
    path = run.folder / "judge.txt"
    path.write_bytes(content)
    own = f"zppo.judge.template={path}"
    refused = run.refused(own, "zppo.judge.enable=true")
    start, _, _ = message.partition("…")
    assert refused.removeprefix(f"zppo.judge.template: {path}").lstrip(": ").startswith(start)
    path.write_bytes(GOOD + b' {options} {"verdict": "correct"}')
    run.check(own, "zppo.judge.enable=true")


@pytest.mark.parametrize("options", ["A or B", ["A", None], [["A"]], {"A": [1]}])
def test_options_that_the_judge_can_not_be_shown(run: Run, options: object) -> None:
    def written(name: str, value: object, *, of: int, free_form: bool = True) -> Path:
        kind = "free_form" if free_form else "rule"
        rows = [row(i, extra_info={"answer_type": kind, "options": value if i >= of else None}) for i in range(16)]
        return write_rows(run.folder / name, rows)

    bad = written("bad.parquet", options, of=3)
    message = run.refused(f"data.val_files={bad}", "zppo.judge.enable=true")
    assert message.startswith(f"data.val_files: {bad} row 3 has no usable options (extra_info.options: a list of at ")
    others = written("others.parquet", options, of=3, free_form=False)  # nobody is shown them
    run.check(f"data.val_files={others}", "zppo.judge.enable=true")
    every = ("zppo.judge.enable=true", "zppo.judge.validation_route=unresolved")
    assert f"{others} row 3 has no usable options" in run.refused(f"data.val_files={others}", *every)
    for number, good in enumerate((["x", "y"], {"A": "x", "B": "y"})):
        file = written(f"good{number}.parquet", good, of=3)
        run.check(f"data.val_files={file}", "zppo.judge.enable=true")


def test_the_judges_context(run: Run) -> None:
    key = "zppo.teacher.inference.max_model_len"
    grpo = ("zppo.reformulation.enable=false", "zppo.judge.enable=true")
    message = run.refused(f"{key}=5500", *grpo)
    assert message.startswith(f"{key}: 5500 tokens of context are too few to judge an answer, ")
    needed = int(message.split("answer, ")[1].split(" =")[0])
    run.check(f"{key}={needed}", *grpo)
    assert "too few to judge" in run.refused(f"{key}={needed - 1}", *grpo)


def test_a_checkpoint_of_another_number_of_ranks(run: Run) -> None:
    folder = run.folder / "run"
    saved = folder / "global_step_4"
    (saved / "actor").mkdir(parents=True)
    (saved / "zppo_complete.json").touch()
    (saved / "actor/fsdp_config.json").write_text('{"FSDP_version": 2, "world_size": 48}')
    at = f"trainer.default_local_dir={folder}"
    run.check(at, "trainer.n_gpus_per_node=6", "trainer.nnodes=8", "zppo.teacher.nnodes=8")
    message = run.refused(at, "trainer.n_gpus_per_node=6")
    assert message.startswith(f"trainer.n_gpus_per_node: {saved} was saved by 48 ranks") and "= 6;" in message
    named = ("trainer.resume_mode=resume_path", f"trainer.resume_from_path={saved}")
    assert "was saved by 48 ranks" in run.refused(*named)
    run.check(at, "trainer.resume_mode=disable")


@pytest.mark.parametrize("url", ["https://me:sk-1@host/v1", "https://sk-1@host/v1", "https://host/v1?key=sk-1"])
def test_a_key_in_the_address_is_refused_and_not_repeated(run: Run, url: str) -> None:
    message = run.refused(f"{URL}={url}")
    assert "ZPPO_TEACHER_API_KEY" in message and "sk-1" not in message


def test_a_key_in_the_configuration_is_refused_and_not_repeated(run: Run) -> None:
    message = run.refused("zppo.teacher.api_key_env=sk-123")
    assert message.startswith("zppo.teacher.api_key_env: expected the name") and "sk-123" not in message
    message = run.refused("+ray_kwargs.ray_init.runtime_env.env_vars.ZPPO_TEACHER_API_KEY=sk-123")
    assert "would be logged" in message and "sk-123" not in message


def test_an_endpoint_needs_no_folder_and_no_accelerators(run: Run) -> None:
    changes = (f"{URL}=http://127.0.0.1:9/v1", "zppo.teacher.path=Qwen3.5-27B", "zppo.teacher.n_gpus_per_node=3")
    shape = "zppo.teacher.inference.tensor_model_parallel_size=2"
    assert run.refused(*changes, shape).startswith(f"{URL}: http://127.0.0.1:9/v1: can't be reached")  # the last check
    assert run.check(*changes, shape, "zppo.reformulation.enable=false").placed_teachers == []
