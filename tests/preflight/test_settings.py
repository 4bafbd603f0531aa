"""One test for every error that is promised before Ray starts, and for the nearest case that must pass."""

import re
from pathlib import Path

import pytest
import verl as verl_package

from recipe.zppo.preflight.verl_keys import UNREAD
from tests.runnable import Run

TEACHER_CONTEXT = "zppo.teacher.inference.max_model_len"
URL, OPENAI_ONLY = "zppo.teacher.base_url", "zppo.teacher.openai_fields_only"
ENDPOINT, LEGACY = f"{URL}=http://127.0.0.1:9/v1", "verl's V1 trainer ignores this key; set reward.…"
ACTOR, DTYPE, OVERRIDE = "actor_rollout_ref.actor", "fsdp_config.model_dtype", "optim.override_optimizer_config"
MANAGER = "actor_rollout_ref.rollout.agent.agent_loop_manager_class"
CORRECTION, LOG_PROBS = "algorithm.rollout_correction", "actor_rollout_ref.rollout.calculate_log_probs"
LOOP = "actor_rollout_ref.rollout.agent.default_agent_loop"
N, REWARD, RESUME = "actor_rollout_ref.rollout.n", "reward.custom_reward_function.path", "trainer.resume_from_path"
GRADED = Path(__file__).parents[1] / "media/graded_by_hash.py"
NO_BCQ, PLAIN = "zppo.reformulation.bcq=false", "zppo.reformulation.enable=false"

CASES = [
    # files
    ("data.train_files=no.parquet", "data.train_files: no.parquet does not exist"),
    ("data.val_files=no.parquet", "data.val_files: no.parquet does not exist"),
    ("data.columns.prompt=5", "data.columns.prompt: expected a text, got 5"),
    ("data.columns.prompt=x data.columns.answer=x", "data.columns.answer: x is data.columns.prompt already; a column…"),
    ("zppo.data.columns.prompt=x data.custom_cls.path=a.py", "data.columns.prompt: it would do nothing under a data…"),
    ("data.custom_cls.path=null", "data.custom_cls.path: must be set; verl's own data set has no ids of prompts…"),
    ("data.columns.prompt=question data.train_files=no.parquet", "data.train_files: no.parquet does not exist"),
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
    (
        "zppo.teacher.inference.gpu_memory_utilization=high",
        "zppo.teacher.inference.gpu_memory_utilization: expected a share greater than 0 and at most 1, got 'high'",
        "zppo.teacher.inference.gpu_memory_utilization=0.5",
    ),
    (f"{TEACHER_CONTEXT}=long", f"{TEACHER_CONTEXT}: expected a whole number of at least 1, got 'long'"),
    (f"{REWARD}=null", f"{REWARD}: must be set…"),
    (f"{REWARD}=no.py", f"{REWARD}: no.py does not exist", f"{REWARD}={GRADED}"),
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
    (
        f"{CORRECTION}.bypass_mode=true {CORRECTION}.rollout_is=token",
        f"{CORRECTION}.rollout_is: token would do nothing: with bypass_mode verl's V1 trainer never…",
        f"{CORRECTION}.bypass_mode=true",
        f"{CORRECTION}.rollout_is=token",
    ),
    (
        f"{PLAIN} zppo.distillation.mode=on_policy {CORRECTION}.rollout_rs=token_k1",
        f"{CORRECTION}.rollout_rs: token_k1 would do nothing: a divergence to the teacher has no importance ratio…",
    ),
    (
        f"{CORRECTION}.rollout_is=tokens",
        f"{CORRECTION}: verl does not accept it: Invalid rollout_is: tokens. Must be one of …",
    ),
    (
        f"{CORRECTION}.rollout_rs=token_k1",
        f"{CORRECTION}: verl does not accept it: rollout_rs_threshold must be …",
        f"{CORRECTION}.rollout_rs=token_k1 {CORRECTION}.rollout_rs_threshold=0.5_2.0",
    ),
    (
        f"{CORRECTION}.rollout_is=token {LOG_PROBS}=false",
        f"{CORRECTION}.rollout_is: token would do nothing: it compares with the log-probs of sampling; set …",
        f"{LOG_PROBS}=false",
    ),
    (
        f"{CORRECTION}.bypass_mode=true {LOG_PROBS}=false",
        f"{CORRECTION}.bypass_mode: it learns from the log-probs of sampling; set {LOG_PROBS}=true",
    ),
    (f"{CORRECTION}.loss_type=reinforce", f"{CORRECTION}.loss_type: reinforce would do nothing: …"),
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
    (
        "algorithm.norm_adv_by_std_in_grpo=false",
        "algorithm.norm_adv_by_std_in_grpo: must be true, got false: … zppo.advantage_norm=none …",
        "zppo.advantage_norm=none",
    ),
    (
        "algorithm.use_kl_in_reward=true",
        "algorithm.use_kl_in_reward: must be false, got true: … groups that are all wrong would teach; … leaves rewa…",
        "actor_rollout_ref.actor.use_kl_loss=true",
    ),
    (
        "algorithm.kl_penalty=low_var_kl",
        "algorithm.kl_penalty: must be kl, got low_var_kl: it would do nothing, as rewards have no KL; …",
        "algorithm.kl_penalty=kl algorithm.kl_ctrl.kl_coef=0.0",
        "actor_rollout_ref.actor.kl_loss_type=k3+",
    ),
    ("algorithm.kl_ctrl.type=adaptive", "algorithm.kl_ctrl.type: must be fixed, got adaptive: it would do nothing, …"),
    ("algorithm.kl_ctrl.kl_coef=0.01", "algorithm.kl_ctrl.kl_coef: must be 0.001, got 0.01: it would do nothing, …"),
    ("actor_rollout_ref.rollout.do_sample=false", "actor_rollout_ref.rollout.do_sample: must be true, got false: …"),
    ("trainer.critic_warmup=5", "trainer.critic_warmup: must be 0, got 5: there is no critic, …"),
    ("data.reward_fn_key=source", "data.reward_fn_key: must be data_source, got source: … data.columns.data_source"),
    (
        "actor_rollout_ref.rollout.multi_turn.enable=true",
        "actor_rollout_ref.rollout.multi_turn.enable: must be false, got true: … choose the agent loop",
    ),
    (
        f"{LOOP}=tool_agent",
        f"{LOOP}: tool_agent would cut reformulated prompts from the left at data.max_prompt_length; …",
        f"{LOOP}=tool_agent {PLAIN}",
        f"{LOOP}=single_turn_agent",
    ),
    (
        "actor_rollout_ref.rollout.response_length=100",
        "actor_rollout_ref.rollout.response_length: 100 is not data.max_response_length=12288, …",
    ),
    (
        "actor_rollout_ref.rollout.prompt_length=100",
        "actor_rollout_ref.rollout.prompt_length: 100 is not data.max_prompt_length=4096, …",
    ),
    ("data.gen_batch_size=4", "data.gen_batch_size: …"),
    ("data.return_raw_chat=false", "data.return_raw_chat: …"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_it_is_refused_and_the_nearest_case_passes(run: Run, case: tuple[str, ...]) -> None:
    run.step = run.folder / "global_step_3"
    run.step.mkdir()
    run.check_case(*case)


def test_a_sound_configuration_passes(run: Run) -> None:
    assert run.check().threshold == 0.5
    assert run.check(f"data.train_files=[{run.data}]", "data.train_max_samples=8").needs_teacher


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
