"""A method beyond the paper, and the example of docs/method/add-your-own.md: BCQ without a teacher."""

from collections.abc import Awaitable, Callable

from recipe.zppo.methods.candidate_questions import Bcq
from recipe.zppo.types import Kind, Question, TeacherAnswers, TeacherRollout


class WorkedSolution(Bcq):
    """The question with the data's own worked solution and one wrong response of the student, as BCQ shows a pair.

    The solution is the text ``extra_info.solution`` of the data row. A row without one gets no such group.
    """

    kind = Kind.WORKED
    label = "worked"
    title = "worked (the data's solution beside a wrong answer)"
    asks_teacher = False

    async def find_help(self, question: Question, ask: Callable[[], Awaitable[TeacherAnswers]]) -> TeacherAnswers:
        solution = (question.data.get("extra_info") or {}).get("solution")
        return TeacherAnswers((TeacherRollout(str(solution), 1.0, 0, source="data"),)) if solution else TeacherAnswers()
