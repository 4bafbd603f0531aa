"""BCQ and NCQ: the question with responses to it as candidates (Algorithm 1, step 4)."""

import asyncio

from recipe.zppo import prompts
from recipe.zppo.candidates import draw_candidates
from recipe.zppo.methods.base import Method, Visit
from recipe.zppo.types import Group, Kind


class CandidateQuestion(Method):
    """Shows candidates: whose, says `draw_candidates`."""

    async def prepare(self, group: Group, visit: Visit) -> bool:
        assert visit.plain is not None, "its responses are the candidates"
        drafts = draw_candidates(visit.plain, visit.helpers, right=self.needs_help, seed=visit.seed, step=visit.step)
        group.candidates = tuple(await asyncio.gather(*(visit.compressed(draft) for draft in drafts)))
        for candidate in group.candidates:
            visit.count(f"compression/{candidate.compression}")
        return True


class Bcq(CandidateQuestion):
    """Binary candidate question: one correct response of the teacher and one wrong one of the student (Fig. 17)."""

    kind = Kind.BCQ
    label = "BCQ"
    title = "BCQ (one candidate right, one wrong)"
    fewest_candidates = 2

    def messages(self, group: Group, plain: Group | None) -> list[dict]:
        return prompts.bcq_messages(group.question.messages, *(candidate.text for candidate in group.candidates))


class Ncq(CandidateQuestion):
    """Negative candidate question: all wrong responses of the student, and their answers (Fig. 18)."""

    kind = Kind.NCQ
    label = "NCQ"
    title = "NCQ (all wrong)"
    needs_help = False
    asks_teacher = False
    fewest_candidates = 1

    def most_candidates(self, group_size: int) -> int:
        return group_size

    def messages(self, group: Group, plain: Group | None) -> list[dict]:
        answers = [rollout.answer for rollout in plain.wrong] if plain else []
        return prompts.ncq_messages(group.question.messages, answers, [each.text for each in group.candidates])
