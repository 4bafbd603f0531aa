"""Wait until a Ray cluster is complete, with a limit, and say what is missing meanwhile.

    python -m recipe.zppo.wait_for_nodes --nodes 8 --gpus 8 --limit 900

Looks at the cluster of ``RAY_ADDRESS``. Exit status: 0 it is complete; 1 it is not within the limit.
"""

import os
import sys
import time
from collections.abc import Callable

from recipe.zppo.config.ending import Arguments, at_least, command
from recipe.zppo.errors import ZPPOError
from recipe.zppo.preflight.ray_start import answers

_POLL_S = 2.0
_REPORT_S = 30.0

Node = tuple[str, float]
"""Address, and accelerators that it brings."""


class IncompleteClusterError(ZPPOError, TimeoutError):
    """Nodes are missing when the limit is reached; the message says which are there."""


def wait_for_nodes(
    list_nodes: Callable[[], list[Node]],
    *,
    nodes: int,
    gpus: int,
    limit_s: float,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return once `nodes` nodes with at least `gpus` accelerators each are alive.

    `say` is called when a node comes or goes, and every half minute. Nodes with fewer accelerators do not count (a head
    without any, say), and are named.

    Raises:
        IncompleteClusterError: after `limit_s` seconds.
    """
    start = reported = clock()
    seen: list[Node] | None = None
    while True:
        found = sorted(list_nodes())
        now = clock()
        if sum(have >= gpus for _, have in found) >= nodes:
            say(f"all {nodes} nodes are there: {_names(found)}")
            return
        missing = _missing(found, nodes, gpus)
        if now - start >= limit_s:
            raise IncompleteClusterError(f"after {limit_s:.0f} s {missing}")
        if found != seen or now - reported >= _REPORT_S:
            say(f"{missing}; waiting, {now - start:.0f} of {limit_s:.0f} s")
            seen, reported = found, now
        sleep(_POLL_S)


def _missing(found: list[Node], nodes: int, gpus: int) -> str:
    full = [node for node in found if node[1] >= gpus]
    short = [node for node in found if node[1] < gpus]
    text = f"{len(full)} of {nodes} nodes with {gpus} GPUs are in the Ray cluster"
    text += f" ({_names(full)})" if full else ""
    return text + (f", and some with fewer: {_names(short)}" if short else "")


def _names(found: list[Node]) -> str:
    return ", ".join(f"{address} with {have:.0f}" for address, have in found)


def ray_nodes() -> list[Node]:
    """The living nodes of the cluster at ``RAY_ADDRESS``; none while its head does not answer yet."""
    import ray

    if not ray.is_initialized():
        if not answers(os.environ.get("RAY_ADDRESS", "")):
            return []  # Ray itself would wait for most of a minute, and say so in lines of its own
        try:
            ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, OSError, TimeoutError):
            return []
    return [(node["NodeManagerAddress"], node["Resources"].get("GPU", 0)) for node in ray.nodes() if node["Alive"]]


@command()
def main() -> int:
    parser = Arguments(prog="python -m recipe.zppo.wait_for_nodes", description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=at_least(1), required=True)
    parser.add_argument("--gpus", type=at_least(0), required=True, help="of each node")
    parser.add_argument("--limit", type=at_least(0, float), default=900.0, help="seconds")
    given = parser.parse_args()

    def say(text: str) -> None:
        print(f"zppo: {text}", file=sys.stderr, flush=True)

    try:
        wait_for_nodes(ray_nodes, nodes=given.nodes, gpus=given.gpus, limit_s=given.limit, say=say)
    except IncompleteClusterError as error:
        say(str(error))
        return 1
    return 0
