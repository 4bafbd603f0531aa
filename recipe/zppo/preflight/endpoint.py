"""Whether the endpoint at `zppo.teacher.base_url` answers, takes the key, and serves the models: before Ray starts."""

import asyncio

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import ConfigError
from recipe.zppo.teacher.endpoint import Endpoint, EndpointError, EndpointSpec, endpoint_specs

_LIMIT_S = 30.0


def check_endpoint(zppo: ZPPOConfig, limit_s: float = _LIMIT_S) -> None:
    """One cheap request: the list of models.

    Raises:
        ConfigError: no answer in time, a refusal, or a model that is not served there.
    """
    if not zppo.needs_teacher or not zppo.teacher.base_url:
        return
    specs = list(endpoint_specs(zppo).values())
    try:
        served = asyncio.run(_list_models(specs[0], limit_s))
    except EndpointError as error:
        raise ConfigError(f"zppo.teacher.base_url: {error}") from None
    except TimeoutError:
        raise ConfigError(
            f"zppo.teacher.base_url: {zppo.teacher.base_url} gave no list of models within {limit_s:g} s; is it up, "
            "and is the address right?"
        ) from None
    for place, spec in enumerate(specs):
        if spec.model not in served:
            shown = ", ".join(served[:10]) + (", ..." if len(served) > 10 else "")
            raise ConfigError(
                f"zppo.teacher.{'more' if place else 'path'}: {spec.base_url} does not serve a model named "
                f"{spec.model}; it serves {shown or 'none'}"
            )


async def _list_models(spec: EndpointSpec, limit_s: float) -> list[str]:
    endpoint = Endpoint(spec)
    try:
        async with asyncio.timeout(limit_s):
            return await endpoint.list_models()
    finally:
        await endpoint.close()
