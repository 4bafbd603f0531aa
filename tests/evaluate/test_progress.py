"""Lines where there is no terminal: how far, and how long still."""

import io

from rich.console import Console

from recipe.zppo.evaluate.progress import Progress


def test_time_left_counts_what_is_known():
    """Ten seconds an answer; the first benchmark has fewer questions than was guessed, the second more."""
    output, clock = io.StringIO(), [0.0]
    progress = Progress(Console(file=output, soft_wrap=True), now=lambda: clock[0])
    with progress.all(1000 + 4):
        for name, expected, count in (("A", 1000, 6), ("B", 4, 5)):
            with progress.one(name, expected) as step:
                for _ in range(count):
                    clock[0] += 10.0
                    step()
    assert output.getvalue().splitlines() == [
        "A: 3 of 1000; all: 2.8 h left",
        "A: 6 of 1000; all: 2.8 h left",
        "B: 3 of 4; all: 0 min left",
    ]
