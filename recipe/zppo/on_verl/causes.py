"""Why a run under Ray ended: the error of ours in a chain of Ray's, a dead server, a node that was out of memory."""

import re
from collections.abc import Iterator

from recipe.zppo.errors import ZPPOError


def find_zppo_error(error: BaseException) -> ZPPOError | None:
    """The first error of ours in a chain of causes, as it was raised: not Ray's copies, which carry tracebacks."""
    from ray.exceptions import RayError

    ours = (link for link in _chain(error) if isinstance(link, ZPPOError) and not isinstance(link, RayError))
    return next(ours, None)


def is_dead(error: BaseException) -> bool:
    """Whether a rollout server will never answer again: its process is gone, or vLLM's engine in it."""
    from ray.exceptions import ActorDiedError

    # By name: vLLM may be another version's, or not be installed here.
    names = {base.__name__ for link in _chain(error) for base in type(link).__mro__}
    return "EngineDeadError" in names or any(isinstance(link, ActorDiedError) for link in _chain(error))


def out_of_memory(error: BaseException) -> str | None:
    """What to do if Ray has ended workers because a node's main memory was full; None if that is not what happened."""
    from ray.exceptions import OutOfMemoryError

    links = list(_chain(error))
    if not any(isinstance(link, OutOfMemoryError) for link in links):
        return None
    used = re.search(r"was ([\d.]+ ?GB used / [\d.]+ ?GB)", " ".join(map(str, links)))
    return (
        f"a node ran out of main memory ({used.group(1) if used else 'see the log'}) and Ray ended workers there; stop "
        "what else runs on it, or lower actor_rollout_ref.actor.ppo_max_token_len_per_gpu, "
        "actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu or ray_kwargs.ray_init.object_store_memory. The same "
        "command goes on from the last checkpoint"
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it was raised from: Ray's `.cause`, then Python's own links."""
    seen: set[int] = set()
    stack: list[BaseException | None] = [error]
    while stack:
        link = stack.pop()
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        # Last in, first out: Ray's cause is looked at first.
        stack += [link.__context__, link.__cause__, getattr(link, "cause", None)]
