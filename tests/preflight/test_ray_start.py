"""What keeps Ray from starting is said before it starts."""

import socket

import pytest
from omegaconf import OmegaConf

from recipe.zppo.errors import ConfigError
from recipe.zppo.preflight.ray_start import check_ray
from recipe.zppo.preflight.wait_for_nodes import ray_nodes


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("RAY_ADDRESS", "RAY_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def check(**ray_init: object) -> None:
    check_ray(OmegaConf.create({"ray_kwargs": {"ray_init": ray_init}}))


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_a_head_that_does_not_answer(environment: pytest.MonkeyPatch, closed_port: int) -> None:
    address = f"127.0.0.1:{closed_port}"
    with pytest.raises(ConfigError, match=f"^RAY_ADDRESS: nobody answers at {address}; .*RAY_ADDRESS=local"):
        environment.setenv("RAY_ADDRESS", address)
        check()
    assert ray_nodes() == []  # within seconds, where Ray itself would wait
    with pytest.raises(ConfigError, match=r"^ray_kwargs.ray_init.address: nobody answers"):
        check(address=address)
    with socket.create_server(("127.0.0.1", closed_port)):
        check()


def test_slots_of_its_own_in_a_running_ray() -> None:
    with pytest.raises(ConfigError, match=r"^ray_kwargs.ray_init.address: auto is a Ray .*num_gpus=2"):
        check(address="auto", num_gpus=2)
    check(address="local", num_gpus=2)


def test_a_folder_with_too_long_a_name(environment: pytest.MonkeyPatch) -> None:
    check()
    for name in ("TMPDIR", "RAY_TMPDIR"):
        environment.setenv(name, "/" + "x" * 38)
        check()
        environment.setenv(name, "/" + "x" * 40)
        with pytest.raises(ConfigError, match=f"^{name}: /x+/ray is 2 bytes too long for Ray's sockets"):
            check()
    check(_temp_dir="/x")
