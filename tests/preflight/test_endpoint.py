"""A teacher behind an address: its key stays out of configuration and messages."""

import pytest

from tests.runnable import Run

URL = "zppo.teacher.base_url"


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
