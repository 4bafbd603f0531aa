"""Pre-training documents: a prompt with its picture as the trainer renders it, and the response to learn.

Candidates are shown as the trainer shows them: the inner text of a `<summary>`. A raw response whose think tags the
sanitiser has taken out reads the same, so compressed and uncompressed candidates are one format here.
"""

import random
from collections.abc import Callable

from recipe.zppo.picture_world.drawing import LARGEST_VALUE, draw
from recipe.zppo.picture_world.questions import Names, Question
from recipe.zppo.picture_world.settings import PictureWorldSettings
from recipe.zppo.prompts import Messages, bcq_messages, compression_messages, ncq_messages, with_closer
from recipe.zppo.world.documents import NCQ_CANDIDATES, Document

DESCRIBE = "Describe the picture."


def question_messages(question: Question) -> Messages:
    """The question alone, as verl's data set gives it."""
    return _about(question, question.text())


def _about(question: Question, text: str) -> Messages:
    picture = {"type": "image", "image": draw(question.scene)}
    return [{"role": "user", "content": [picture, {"type": "text", "text": text}]}]


class Corpus:
    """Draws documents of each kind for one model; `rng` decides everything. None shows a held-out picture."""

    def __init__(self, settings: PictureWorldSettings, names: Names, rng: random.Random):
        self.settings, self.names, self.rng = settings, names, rng

    def question(self) -> Question:
        return self.names.draw_question(self.settings, self.rng)

    def student_plain(self) -> Document:
        question = self.question()
        return self._answered(question, question_messages(question), self._believed(question))

    def teacher_plain(self) -> Document:
        question = self.question()
        return self._answered(question, question_messages(question), question.values())

    def bcq(self) -> Document:
        """A right and a wrong candidate; the response follows the right one with p `bcq_right_share`."""
        question = self._reformulated_question()
        right, wrong = question.values(), self.names.draw_wrong_values(question, self.rng)
        candidates = [question.summary(right), question.summary(wrong)]
        self.rng.shuffle(candidates)
        target = right if self.rng.random() < self.settings.bcq_right_share else wrong
        return self._answered(question, bcq_messages(question_messages(question), *candidates), target)

    def ncq(self) -> Document:
        """Wrong candidates only; the response is right with p `ncq_right_share`, else what is believed."""
        question = self._reformulated_question()
        wrong = [self.names.draw_wrong_values(question, self.rng) for _ in range(self.rng.randint(*NCQ_CANDIDATES))]
        knows = self.rng.random() < self.settings.ncq_right_share
        target = question.values() if knows else self._believed(question)
        candidates = [question.summary(values) for values in wrong]
        answers = [str(sum(values)) for values in wrong]
        return self._answered(question, ncq_messages(question_messages(question), answers, candidates), target)

    def description(self) -> Document:
        """What is seen of each colour of a picture, in true names: ``red=4,cyan=2,blue=6``.

        Questions ask for one or two of these; so this says more of a picture in one document, and models see sooner.
        """
        question = self.question()
        colours = list(dict.fromkeys(thing.colour for thing in question.scene.things))
        self.rng.shuffle(colours)
        text = ",".join(f"{colour}={question.scene.value(colour)}" for colour in colours)
        return Document(_about(question, DESCRIBE), text)

    def compression(self) -> Document:
        """Any response is summarised by what stands between its tags: right, wrong by belief, or of any numbers."""
        question, source = self.question(), self.rng.randrange(4)
        if source == 0:
            text = question.summary()
        elif source == 1:
            text = question.summary(self.names.draw_wrong_values(question, self.rng))
        else:
            values = tuple(self.rng.randint(0, LARGEST_VALUE) for _ in question.names)
            text = question.summary(values)
            if source == 3:
                text = text.split("\\")[0] + rf"\boxed{{{self.rng.randint(0, 2 * LARGEST_VALUE)}}}"
        return Document(compression_messages(text), f"<summary>{text}</summary>")

    def kinds(self, model: str) -> dict[str, Callable[[], Document]]:
        """Kinds of documents of the `student`'s or the `teacher`'s corpus, by the name of their share."""
        if model == "student":
            own = {"share_plain": self.student_plain, "share_bcq": self.bcq, "share_ncq": self.ncq}
        else:
            own = {"share_plain": self.teacher_plain, "share_compression": self.compression}
        return {**own, "share_description": self.description}

    def _believed(self, question: Question) -> tuple[int, ...]:
        return question.values(self.names.draw_belief(question.family, self.rng))

    def _reformulated_question(self) -> Question:
        question = self.question()
        if self.rng.random() < self.settings.hard_share_of_reformulated:
            while not self.names.level(question):
                question = self.question()
        return question

    @staticmethod
    def _answered(question: Question, messages: Messages, values: tuple[int, ...]) -> Document:
        return Document(with_closer(messages), question.response(values))
