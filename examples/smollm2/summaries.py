r"""Compression requests for the teacher: ``python examples/smollm2/summaries.py SFT_FILE OUT``.

The teacher that only knows the tasks can't summarise. This turns every second worked answer into what it is asked to
compress (Fig. 16), with its summary: the steps and the box, without the tags of thinking, in 5 lines at most. One half
of those responses is spoilt first, a digit in some lines being another one, because most responses that a run wants
compressed are wrong, and a summary must not put them right. OUT has the rows of SFT_FILE and the requests, mixed by
`sft.py`; the same file gives the same requests.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from recipe.zppo.prompts import compression_messages
from recipe.zppo.randomness import generator
from recipe.zppo.run.files import write_atomically

LINES = 5


def spoilt(response: str, rng: random.Random) -> str:
    """One to three digits of the response are others."""
    places = [match.start() for match in re.finditer(r"\d", response)]
    characters = list(response)
    for place in rng.sample(places, min(len(places), rng.randint(1, 3))):
        characters[place] = rng.choice([digit for digit in "0123456789" if digit != characters[place]])
    return "".join(characters)


def summary(response: str) -> str:
    """The last steps and the box; a response has no other lines."""
    lines = [line for line in response.splitlines() if line not in ("<think>", "</think>")]
    return "\n".join(lines[-LINES:])


def requests(responses: list[str]) -> Iterator[list[dict[str, Any]]]:
    for i, response in enumerate(responses):
        rng = generator(0, "compression request", i)
        if rng.random() < 0.5:
            response = spoilt(response, rng)
        reply = f"<summary>\n{summary(response)}\n</summary>"
        yield [*compression_messages(response), {"role": "assistant", "content": reply}]


def main() -> None:
    source, out = map(Path, sys.argv[1:])
    conversations = pq.read_table(source, columns=["messages"])
    rows = conversations.column("messages").to_pylist()
    asked = list(requests([messages[-1]["content"] for messages in rows[::2]]))
    table = pa.concat_tables([conversations, pa.table({"messages": asked}, schema=conversations.schema)])
    write_atomically(str(out), lambda path: pq.write_table(table, path))
    print(f"{out}: {len(rows)} worked answers, {len(asked)} compression requests")


if __name__ == "__main__":
    main()
