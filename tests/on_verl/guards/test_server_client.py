"""Which failures of a server take it off the router's list."""

import asyncio
from types import SimpleNamespace

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError, RayTaskError
from verl.workers.rollout.llm_server import LLMServerClient

from recipe.zppo.on_verl.guards import server_client
from recipe.zppo.on_verl.guards.server_client import ServerClient, _Server


class EngineDeadError(Exception):
    """As vLLM's, which is known by its name."""


class EngineCoreError(EngineDeadError):
    """A class below it."""


def of_task(cause: Exception) -> Exception:
    """What an awaited call raises: Ray's copy, of the cause's class too."""
    return RayTaskError("generate", "Traceback", cause).as_instanceof_cause()


class Calls:
    """Notes with what ``remote`` is called; what it gives fails with ``error``."""

    def __init__(self, error: Exception | None = None):
        self.error, self.arguments = error, []

    def remote(self, *arguments, **request) -> asyncio.Future:
        self.arguments.append(arguments)
        future = asyncio.get_running_loop().create_future()
        future.set_exception(self.error) if self.error else future.set_result(None)
        return future


def removed_after(error: Exception) -> list:
    async def ask() -> list:
        remove = Calls()
        client = SimpleNamespace(_load_balancer=SimpleNamespace(remove_servers=remove))
        server = _Server(client, "server-1", SimpleNamespace(generate=Calls(error)))
        with pytest.raises(type(error)):
            await server.generate.remote(prompt_ids=[1])
        return remove.arguments

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "error", [ActorDiedError(), of_task(EngineDeadError("engine core")), of_task(EngineCoreError("engine core"))]
)
def test_a_dead_server_gets_no_more_requests(error: Exception) -> None:
    assert removed_after(error) == [(["server-1"],)]


@pytest.mark.parametrize(
    "error",
    [
        of_task(ValueError("too long")),
        of_task(RuntimeError("busy")),
        ActorUnavailableError("connection reset", None),
        of_task(ActorUnavailableError("connection reset", None)),
    ],
)
def test_another_failure_is_the_requests(error: Exception) -> None:
    assert removed_after(error) == []


def tries_of(monkeypatch: pytest.MonkeyPatch, errors: list[RayError]) -> list[str]:
    """The names of a request's tries, of which the first fail with ``errors``."""
    names, left = [], list(errors)

    async def generate(self, request_id: str, **kwargs) -> str:
        names.append(request_id)
        if left:
            raise left.pop(0)
        return "text"

    monkeypatch.setattr(server_client, "PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(LLMServerClient, "generate", generate)
    try:
        assert asyncio.run(ServerClient(None).generate("det-0", prompt_ids=[1], sampling_params={})) == "text"
    except RayError as error:
        assert not left and error is errors[-1]
        names.append("failed")
    return names


def test_a_server_out_of_reach_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = ActorUnavailableError("connection reset", None)
    names = tries_of(monkeypatch, [lost, lost])
    assert len(names) == len(set(names)) == 3 and "failed" not in names
    assert tries_of(monkeypatch, [lost, lost, lost])[3:] == ["failed"]
    assert tries_of(monkeypatch, [ActorDiedError()])[1:] == ["failed"]
