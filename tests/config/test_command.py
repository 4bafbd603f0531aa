"""What is said of a wrong command line: one line with key and remedy, status 2, and nothing is launched or written."""

import copy
import re
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from recipe.zppo.config.command import GROUPS, run_command
from recipe.zppo.config.defaults import check_against_defaults
from recipe.zppo.errors import ConfigError
from tests import warm
from tests.composed import compose

FILES = "data.train_files"
WRONG = [
    (["method=foo"], "method=foo: there is none of that name; one of grpo, grpo_both, …, zppo"),
    (["platform=tpu"], "platform=tpu: there is none of that name; one of cpu, cpu_vllm, gpu, local_gpu"),
    (["metod=grpo"], "metod: unknown key; did you mean method?"),
    (["data.train_file=a"], f"data.train_file: unknown key; did you mean {FILES}?"),
    (["zppo.relay.enable=false"], "zppo.relay: unknown key; did you mean zppo.replay?"),
    ([f"{FILES}=my", "file.parquet"], "'file.parquet' is not key=value; a value with spaces needs quotes: …"),
    ([f"{FILES}=a=b.parquet"], f"{FILES}: 'a=b.parquet' can't be read; … \"{FILES}='a=b.parquet'\""),
    (["+data.seed=1"], "+data.seed: the key is there already; set it without the plus"),
    ([f"{FILES}=[a"], f"{FILES}: '[a' can't be read; …"),
    (["trainer.total_epochs=true"], "trainer.total_epochs: expected a whole number, got True"),
    ([f"{FILES}=${{nope}}"], f"{FILES}: the configuration can't be filled in: Interpolation key 'nope' not found"),
    ([f"{FILES}='${{oc.env:NOPE}}'"], f"{FILES}: the configuration can't be filled in: …'NOPE' not found…"),
    (["--multirun", "zppo.seed=1"], "--multirun: a command trains one run; for many: python -m recipe.zppo.study"),
    (
        ["--config-name", "no_such_file"],
        "the configuration can't be composed: Cannot find primary config 'no_such_file'…",
    ),
]


UNLIKE_THE_DEFAULTS = [
    ("data.train_file", "a", f"data.train_file: unknown key; did you mean {FILES}?"),
    ("actor_rollout_ref.actor.optim.lr", "fast", "actor_rollout_ref.actor.optim.lr: expected a number, got 'fast'"),
    ("actor_rollout_ref.actor.optim.lr", True, "actor_rollout_ref.actor.optim.lr: expected a number, got True"),
    ("data.max_prompt_length", 3.5, "data.max_prompt_length: expected a whole number, got 3.5"),
    (
        "ray_kwargs.ray_init.num_cpu",
        3,
        "ray_kwargs.ray_init.num_cpu: unknown key; did you mean ray_kwargs.ray_init.num_cpus?",
    ),
    ("data.shuffle", "sometimes", "data.shuffle: expected true or false, got 'sometimes'"),
    ("zppo", None, "zppo: expected a group of keys, got None"),
    ("actor_rollout_ref.rollout", None, "actor_rollout_ref.rollout: expected a group of keys, got None"),
    ("trainer.v1", 3, "trainer.v1: expected a group of keys, got 3"),
]
ALIKE = [
    ("actor_rollout_ref.actor.optim.lr", 1),
    ("data.shuffle", 0),
    ("trainer.total_training_steps", 3),
    ("actor_rollout_ref.rollout.max_model_len", None),
    # Somebody else's keys, however like a known one.
    ("actor_rollout_ref.rollout.engine_kwargs.vllm.whatever", "x"),
    ("ray_kwargs.ray_init.runtime_env.env_vars.HF_HUB_CACHE", "/x"),
    ("actor_rollout_ref.model.override_config.attn_implementation_", "x"),
    ("data.apply_chat_template_kwargs.enable_thinkings", True),
    ("zppo.teacher.inference.pipeline_model_parallel_size", 1),
    ("trainer.experiment_name", 7),
]


@pytest.fixture(scope="module")
def defaults() -> DictConfig:
    return compose(["platform=cpu"])


def changed(config: DictConfig, key: str, value: object) -> DictConfig:
    config = copy.deepcopy(config)
    OmegaConf.update(config, key, value, force_add=True, merge=False)
    return config


@pytest.mark.parametrize(("key", "value", "message"), UNLIKE_THE_DEFAULTS)
def test_what_is_unlike_the_defaults_is_refused(defaults: DictConfig, key: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        check_against_defaults(changed(defaults, key, value), defaults, GROUPS)
    assert str(error.value) == message


@pytest.mark.parametrize(("key", "value"), ALIKE)
def test_what_is_like_them_passes(defaults: DictConfig, key: str, value: object, capsys) -> None:
    check_against_defaults(changed(defaults, key, value), defaults, GROUPS)
    assert capsys.readouterr().err == ""


def called(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, list[DictConfig]]:
    """Status, and what was launched."""
    monkeypatch.setattr(sys, "argv", ["zppo", *arguments])
    launched: list[DictConfig] = []

    def launch(config: DictConfig) -> int:
        launched.append(config)
        return 7

    return run_command("python -m x", "About.", launch, defaults=["platform=cpu"]), launched


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=lambda value: value[0] if isinstance(value, list) else "")
def test_a_mistake_is_one_line(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    status, launched = called(monkeypatch, *arguments)
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(".*".join(map(re.escape, f"zppo: {message}".split("…"))), line), line
    assert status == 2 and not launched and not list(tmp_path.iterdir())


def test_what_is_right_is_launched_and_no_folder_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    status, (config,) = called(monkeypatch, "method=grpo", f"{FILES}='a=b c.parquet'", "trainer.total_training_steps=3")
    assert status == 7 and not list(tmp_path.iterdir())
    assert config.data.train_files == "a=b c.parquet" and config.trainer.device == "cpu"
    assert not config.zppo.replay.enable


# ---- a config file of the user's


def file(folder: Path, text: str) -> list[str]:
    (folder / "mine.yaml").write_text(text)
    return ["--config-dir", str(folder), "--config-name", "mine"]


@pytest.mark.parametrize(("group", "choice"), [("method", "grpo")])
def test_a_groups_name_in_a_file_is_refused_with_the_way_that_works(
    group: str, choice: str, monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path
) -> None:
    arguments = file(tmp_path, f"defaults: [zppo_trainer, _self_]\n{group}: {choice}\n")
    status, launched = called(monkeypatch, *arguments)
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        status == 2 and not launched and line.startswith(f"zppo: {group}: as a key of a config file it chooses nothing")
    )
    remedy = re.search(r"'- (.*?)'", line)[1]
    arguments = file(tmp_path, f"defaults:\n- zppo_trainer\n- {remedy}\n- _self_\ndata: {{train_batch_size: 12}}\n")
    # `platform=cpu` is the default of a command, and no choice of the user's.
    monkeypatch.setattr(sys, "argv", ["zppo", *arguments])
    launched = []
    assert run_command("x", "About.", lambda config: launched.append(config) or 0) == 0
    (config,) = launched
    assert config.data.train_batch_size == 12
    assert config.trainer.device == "cuda" and not config.zppo.replay.enable


def test_a_misspelt_key_in_a_file_is_refused(monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path) -> None:
    arguments = file(tmp_path, "defaults: [zppo_trainer, _self_]\ntrainer: {total_training_step: 3}\n")
    status, launched = called(monkeypatch, *arguments)
    message = "trainer.total_training_step: unknown key; did you mean trainer.total_training_steps?"
    assert (status, launched, capsys.readouterr().err) == (2, [], f"zppo: {message}\n")


@pytest.mark.parametrize(
    "key", ["data.train_file_list", "trainer.total_training", "actor_rollout_ref.rollout.val_temp"]
)
def test_a_key_that_may_be_meant_is_said_and_not_refused(defaults: DictConfig, key: str, capsys) -> None:
    check_against_defaults(changed(defaults, key, 1), defaults, GROUPS)
    assert capsys.readouterr().err.endswith(f"have these keys: {key}\n")


def test_a_key_that_nobody_knows_is_said_and_kept(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """Some of verl's keys have no default."""
    status, (config,) = called(monkeypatch, "+ray_kwargs.ray_init._temp_dir=/x")
    said = "neither ZPPO's defaults nor verl's have these keys: ray_kwargs.ray_init._temp_dir"
    assert said in capsys.readouterr().err and status == 7 and config.ray_kwargs.ray_init._temp_dir == "/x"


# ---- as a user calls it


@pytest.mark.parametrize(("module", "platform"), [("verl.trainer.main_zppo", "gpu"), ("recipe.zppo.local", "cpu")])
def test_help_is_one_screen_and_version_is_ours(module: str, platform: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", module, "--help"]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    lines = shown.stdout.splitlines()
    assert shown.returncode == 0 and shown.stderr == "" and len(lines) <= 32 and max(map(len, lines)) <= 120
    assert f"usage: python -m {module} key=value" in lines[0] and "method=zppo" in shown.stdout
    assert f"\n  platform={platform}  " in shown.stdout
    shown = warm.run(module, "--version", folder=tmp_path)
    assert re.fullmatch(r"open-zppo \S+, verl 0\.9\.1, torch \S+, Python 3\.\d+\.\d+\n", shown.stdout)
    assert not list(tmp_path.iterdir())
