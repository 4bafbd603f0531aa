import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recipe.zppo.run.metrics_log import MetricsLog


@pytest.fixture
def log(tmp_path: Path) -> MetricsLog:
    """Of a run that has just begun, in metrics.jsonl."""
    log = MetricsLog(str(tmp_path / "metrics.jsonl"))
    log.resume(0)
    return log


def rows(path: Path) -> list[dict]:
    """Of a file whose lines are all whole."""
    return [json.loads(line) for line in path.read_text().splitlines()]


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Files end at `size` bytes: what fits is written, as on a disk that gets full within a line."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
