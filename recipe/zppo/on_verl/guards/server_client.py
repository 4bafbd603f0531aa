"""verl's server client, for requests that can be cancelled, spread, and taken off a dead server."""

import asyncio
from typing import Any
from uuid import uuid4

import ray
from ray.exceptions import ActorUnavailableError, RayActorError
from verl.workers.rollout.llm_server import LLMServerClient

PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Before another try at a server that Ray can't reach. Then the request fails."""


class ServerClient(LLMServerClient):
    """What verl's client leaves open.

    - A request that is given up is cancelled on its server. A cancelled `await` on a Ray call stops the waiting only,
      and the server would go on generating.
    - Requests are routed one by one. With ``full_determinism`` verl's agent loop names every request ``det-0``
      (`SingleTurnAgentLoop.run`), and the router sends one name to one server.
    - A server whose process, or whose vLLM engine, has died leaves the router's list. verl's router gives new requests
      to the server with the fewest, which is the one that fails them fastest.
    - One that Ray can't reach for a moment stays on the list, and the request is made again after a pause.
    """

    async def generate(self, request_id: str, **kwargs: Any) -> Any:
        for pause in PAUSES_S:
            try:
                return await super().generate(uuid4().hex, **kwargs)
            except ActorUnavailableError:
                await asyncio.sleep(pause)
        return await super().generate(uuid4().hex, **kwargs)

    async def _acquire_server(self, request_id: str, **extra: Any) -> tuple[str, Any]:
        server_id, server = await super()._acquire_server(request_id, **extra)
        return server_id, _Server(self, server_id, server)


class _Server:
    """Stands for the server's actor handle: ``generate.remote(...)`` gives an awaitable."""

    def __init__(self, client: ServerClient, server_id: str, handle: Any):
        self._client, self._server_id, self._handle = client, server_id, handle

    @property
    def generate(self) -> "_Server":
        return self

    async def remote(self, **request: Any) -> Any:
        reference = self._handle.generate.remote(**request)
        try:
            return await reference
        except asyncio.CancelledError:
            ray.cancel(reference)
            raise
        except ray.exceptions.RayError as error:
            if _server_is_dead(error):
                await self._client._load_balancer.remove_servers.remote([self._server_id])
            raise


def _server_is_dead(error: ray.exceptions.RayError) -> bool:
    """vLLM's engine is a process of its own: when it dies, the actor lives on and answers with vLLM's EngineDeadError.

    The class is known by its name: Ray makes a class of it that is a RayTaskError too, and vLLM may not be installed.
    """
    if isinstance(error, RayActorError):
        return not isinstance(error, ActorUnavailableError)  # that is a connection lost for a moment
    classes = (*type(error).__mro__, *type(getattr(error, "cause", None)).__mro__)
    return any(cls.__name__ == "EngineDeadError" for cls in classes)
