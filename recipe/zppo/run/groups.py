"""Groups of a run put together from its events: responses, what their prompt showed, what the teacher had said."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

GROUP_EVENTS = ("rolled_out", "reformulated", "teacher_answered")


def joined_groups(events: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Each `RolledOut` with ``candidates`` and ``form`` of its `Reformulated`, and under ``teacher`` the
    `TeacherAnswered` about its question in the step that drew it, where there are such.

    Args:
        events: of `GROUP_EVENTS`.
    """
    for _, step in groupby(events, lambda event: event["step"]):
        events_of_step = list(step)
        prompts = {event["uid"]: event for event in events_of_step if event["type"] == "reformulated"}
        answers = {
            (event["prompt_id"], event["built_in_step"]): event
            for event in events_of_step
            if event["type"] == "teacher_answered"
        }
        for event in events_of_step:
            if event["type"] != "rolled_out":
                continue
            group = dict(event)
            prompt = prompts.get(group["uid"], {})
            group["candidates"] = prompt.get("candidates", [])
            if "form" in prompt:
                group["form"] = prompt["form"]
            if (teacher := answers.get((group["prompt_id"], group["built_in_step"]))) is not None:
                group["teacher"] = teacher
            yield group
