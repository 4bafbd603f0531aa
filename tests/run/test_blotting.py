"""Secrets are known by their names, and nothing else is touched."""

import shlex

import pytest
from omegaconf import OmegaConf

from recipe.zppo.run.blotting import blotted, blotted_command, is_secret
from tests.composed import compose


@pytest.mark.parametrize(
    "name",
    [
        *("WANDB_API_KEY", "HF_TOKEN", "AWS_ACCESS_KEY_ID", "MY_SECRET", "PGPASSWORD", "KEY", "JUDGE_APIKEY"),
        *(
            "api_key",
            "apiKey",
            "apikey",
            "api-key",
            "openai_key",
            "key",
            "access_token",
            "token",
            "authToken",
            "passwd",
        ),
        *("password", "client_secret", "credentials", "secret_key"),
    ],
)
def test_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "TOKENIZERS_PARALLELISM",
            "KEYBOARD",
            "MAX_TOKENS",
            "api_key_env",
            "prompt_key",
            "prompt_id_key",
            "image_key",
        ),
        *("max_tokens", "ppo_max_token_len_per_gpu", "pad_token_id", "pad_token", "reward_fn_key"),
        *("tokenizer_path", "bytes_per_token", "monkey", "skip_tokenizer_init", "enable_thinking_key", "loss_agg_mode"),
    ],
)
def test_no_secrets(name: str) -> None:
    assert not is_secret(name)


def test_no_key_of_the_defaults_is_a_secret() -> None:
    for platform in ("cpu", "gpu"):
        config = compose([f"platform={platform}"])
        assert OmegaConf.to_container(blotted(config)) == OmegaConf.to_container(config)


def test_a_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-5")
    config = OmegaConf.create(
        {
            "env_vars": {"TOKENIZERS_PARALLELISM": "false", "MY_TOKEN": "sk-1", "HF_TOKEN": ""},
            "reward_kwargs": {"api_key": 1234, "judges": [{"password": "sk-2"}], "secret": None, "token": True},
            "again": "${env_vars.MY_TOKEN}",
            "credentials": {"user": "me", "words": ["sk-3"]},
            "there": "${oc.env:JUDGE_KEY}",
            "template": "{{ api_key }}",
        }
    )
    assert OmegaConf.to_container(blotted(config), resolve=True) == {
        "env_vars": {"TOKENIZERS_PARALLELISM": "false", "MY_TOKEN": "***", "HF_TOKEN": ""},
        "reward_kwargs": {"api_key": "***", "judges": [{"password": "***"}], "secret": None, "token": True},
        "again": "***",
        "credentials": {"user": "***", "words": ["***"]},
        "there": "***",
        "template": "{{ api_key }}",
    }
    assert config.env_vars.MY_TOKEN == "sk-1"


def test_a_command_line() -> None:
    arguments = [
        *("python", "-m", "verl.trainer.main_zppo", "trainer.val_before_train=false", "data.prompt_key=the prompt"),
        *("+a.env_vars.MY_KEY='it is; sk-1'", "++reward.kwargs.api_key=sk-2", "+reward.kwargs={url: x, token: sk-3}"),
        *("a.TOKENIZERS_PARALLELISM=false", "+a.api_key=null", "model={type: x}"),
    ]
    shown = shlex.split(blotted_command(arguments))
    assert shown[:5] == arguments[:5] and shown[8:] == arguments[8:]
    assert shown[5:8] == ["+a.env_vars.MY_KEY=***", "++reward.kwargs.api_key=***", "+reward.kwargs=***"]
