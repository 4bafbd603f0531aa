"""Lines of an event log, for tests that need the metrics of a run and no run."""

import json
from collections.abc import Iterable
from typing import Any


def measured(rows: Iterable[dict[str, Any]]) -> str:
    """An event for each row, which has its ``step``."""
    return "".join(
        json.dumps({"type": "measured", "step": row["step"], "time": 0.0, "metrics": row}) + "\n" for row in rows
    )
