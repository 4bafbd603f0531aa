"""BCQ and NCQ: the question with responses to it as candidates (Algorithm 1, step 4)."""

import asyncio
from collections.abc import Mapping, Sequence

from recipe.zppo import prompts
from recipe.zppo.candidates import Draft, draw_candidates
from recipe.zppo.methods.base import Method, Visit
from recipe.zppo.types import Candidate, Group, Kind

FORMS = ("summary", "raw", "mixed")


def form_of(candidates: Sequence[Candidate]) -> str:
    """Of `FORMS`: the teacher's summaries, the responses' own words, or some of both."""
    forms = {candidate.is_summary for candidate in candidates}
    return "mixed" if len(forms) > 1 else "summary" if True in forms else "raw"


class CandidateQuestion(Method):
    """Shows candidates: whose, says `draw_candidates`."""

    async def prepare(self, group: Group, visit: Visit) -> bool:
        assert visit.plain is not None, "its responses are the candidates"
        drafts = draw_candidates(visit.plain, visit.helpers, right=self.needs_help, seed=visit.seed, step=visit.step)
        compressed = await asyncio.gather(*(visit.compressed(draft) for draft in drafts))
        group.candidates = tuple(await self.shown(drafts, compressed, visit))
        for candidate in group.candidates or compressed:
            visit.count(f"compression/{candidate.compression}")
        return bool(group.candidates)

    async def shown(
        self, drafts: Sequence[Draft], compressed: Sequence[Candidate], visit: Visit
    ) -> Sequence[Candidate]:
        """What of the candidates is shown; none, if the group is to be left out."""
        return compressed


class Bcq(CandidateQuestion):
    """Binary candidate question: one correct response of the teacher and one wrong one of the student (Fig. 17)."""

    kind = Kind.BCQ
    label = "BCQ"
    title = "BCQ (one candidate right, one wrong)"
    fewest_candidates = 2

    async def shown(
        self, drafts: Sequence[Draft], compressed: Sequence[Candidate], visit: Visit
    ) -> Sequence[Candidate]:
        """Two of one form: beside a tidy summary, a response's own words would tell which is which."""
        if form_of(compressed) != "mixed":
            return compressed
        visit.count(f"mixed/{self.kind.value}_{visit.mixed_forms}")
        if visit.mixed_forms == "drop":
            return ()
        if visit.mixed_forms == "show":
            return compressed
        return [
            await visit.uncompressed(draft) if candidate.is_summary else candidate
            for draft, candidate in zip(drafts, compressed, strict=True)
        ]

    def messages(self, group: Group, plain: Group | None) -> list[dict]:
        return prompts.bcq_messages(group.question.messages, *(candidate.text for candidate in group.candidates))

    def metrics(self, groups: Sequence[Group], counts: Mapping[str, int]) -> dict[str, float | None]:
        forms = [form_of(group.candidates) for group in groups]
        name = f"zppo/{self.kind.value}"
        accuracies = {form: [g.accuracy for g, of in zip(groups, forms, strict=True) if of == form] for form in FORMS}
        mixed = [group for group, form in zip(groups, forms, strict=True) if form == "mixed"]
        return super().metrics(groups, counts) | {
            **{f"{name}/form_{form}": forms.count(form) for form in FORMS},
            **{f"{name}/accuracy_{form}": sum(of) / len(of) if of else None for form, of in accuracies.items()},
            f"{name}/mixed_summary_right": sum(c.is_summary and c.correct for group in mixed for c in group.candidates),
            f"{name}/mixed_dropped": counts.get(f"mixed/{self.kind.value}_drop", 0),
            f"{name}/mixed_fell_back": counts.get(f"mixed/{self.kind.value}_fall_back", 0),
        }


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
