"""Lines of an event log, for tests that need the metrics of a run and no run; what a log tells of the buffer."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from recipe.zppo.replay_buffer import BufferEntry


def measured(rows: Iterable[dict[str, Any]]) -> str:
    """An event for each row, which has its ``step``."""
    return "".join(
        json.dumps({"type": "measured", "step": row["step"], "time": 0.0, "metrics": row}) + "\n" for row in rows
    )


def rebuilt_buffer(events: Iterable[dict[str, Any]]) -> list[BufferEntry]:
    """The entries of a replay buffer, oldest first, as the events of its run tell."""
    entries: dict[str, BufferEntry] = {}
    for event in events:
        name = event.get("prompt_id", "")
        match event["type"]:
            case "admitted":
                entries[name] = BufferEntry(name, event["row"], event["accuracy"], event["step"], ())
            case "visited":
                visits = (*entries[name].visits, (event["step"], event["accuracy"]))
                entries[name] = replace(entries[name], visits=visits)
                assert event["visits"] == len(visits)
            case "graduated" | "evicted":
                entry = entries.pop(name)
                told = event["entry_step"], event["entry_accuracy"], event["visits"]
                assert told == (entry.entry_step, entry.entry_accuracy, len(entry.visits))
    return list(entries.values())
