"""What a run is planned for: nodes, accelerators of a node, and memory of each."""

import re
from dataclasses import dataclass

from recipe.zppo.errors import ConfigError

GB = 10**9
"""Bytes. Vendors name memory in it, `8x8x80` does, and so does the page."""

_SPEC = re.compile(r"([1-9]\d*)x([1-9]\d*)x([1-9]\d*)")


@dataclass(frozen=True)
class Node:
    """One machine: accelerators, memory of each in bytes (None: not known), and CPUs (None: not known)."""

    accelerators: int
    memory: int | None = None
    cpus: int | None = None


@dataclass(frozen=True)
class Hardware:
    """The machines at hand, and where this was learnt."""

    nodes: tuple[Node, ...]
    source: str

    @property
    def memory(self) -> int | None:
        """Bytes of the smallest accelerator; None where unknown, or where there is none."""
        sizes = [node.memory for node in self.nodes if node.accelerators]
        return min(sizes) if sizes and None not in sizes else None


def parse_hardware(text: str) -> Hardware:
    """`8x8x80`: nodes x accelerators of each node x GB of memory of each.

    Raises:
        ConfigError: another form.
    """
    match = _SPEC.fullmatch(text.replace(" ", ""))
    if not match:
        raise ConfigError(
            f"zppo.hardware: {text!r} is not nodes x accelerators of a node x GB of each; write it as 8x8x80, or leave "
            "it null to look at the machine or cluster at hand"
        )
    nodes, accelerators, gigabytes = map(int, match.groups())
    return Hardware((Node(accelerators, gigabytes * GB),) * nodes, f"zppo.hardware={text}")
