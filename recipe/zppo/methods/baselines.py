"""The paper's rivals of BCQ: Hint, Prefix, and the teacher's sequences of off-policy distillation (App. D.2)."""

from collections.abc import Mapping, Sequence

from recipe.zppo import prompts
from recipe.zppo.methods.base import Method, Visit, demonstration
from recipe.zppo.types import Group, Kind, Opening


class HintMethod(Method):
    """The question with a hint that the teacher writes from one of its correct responses (Alg. 5, Fig. 19)."""

    kind = Kind.HINT
    label = "hint"
    title = "hint (by the teacher, without the answer)"
    asks_after_cap = True
    writes_hint = True

    async def prepare(self, group: Group, visit: Visit) -> bool:
        hint = await visit.hint(demonstration(group, visit))
        group.hint = hint.text
        if hint.problem:
            visit.count(f"hint/{hint.problem}")
        return not hint.problem

    def messages(self, group: Group, plain: Group | None) -> list[dict]:
        return prompts.hinted_messages(group.question.messages, group.hint)

    def metrics(self, groups: Sequence[Group], counts: Mapping[str, int]) -> dict[str, float | None]:
        return super().metrics(groups, counts) | {"zppo/hint/leaked": counts.get("hint/leak", 0)}


class Prefix(Method):
    """The question as it is; the response begins with tokens of a correct teacher response (Alg. 6)."""

    kind = Kind.PREFIX
    label = "prefix"
    title = "prefix (the response begun by the teacher)"
    asks_after_cap = True

    async def prepare(self, group: Group, visit: Visit) -> bool:
        group.openings = (Opening(demonstration(group, visit).text, visit.prefix_fraction),) * visit.group_size
        return True


class TeacherSequences(Method):
    """The teacher's correct responses as sequences to learn from (Alg. 2); the student writes none of them."""

    kind = Kind.TEACHER
    label = "teacher"
    title = "sequences of the teacher"
    off_policy = True

    async def prepare(self, group: Group, visit: Visit) -> bool:
        group.openings = tuple(
            Opening(rollout.text, 1.0, rollout.answer or "") for rollout in visit.helpers if rollout.correct
        )
        return True

    def metrics(self, groups: Sequence[Group], counts: Mapping[str, int]) -> dict[str, float | None]:
        return {"zppo/distillation/sequences": sum(len(group.rollouts) for group in groups)}
