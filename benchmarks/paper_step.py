"""A synthetic step at the paper's scale (Table 8): texts of the real size, outcomes drawn by a seed.

384 new and 96 replayed questions, 96 reformulated prompts, 8 rollouts of 12,288 tokens each; every second question is
hard and has 4 teacher rollouts, so 960 of those.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from recipe.zppo.types import Group, Kind, Question, Rollout, TeacherAnswers, TeacherRollout

NUM_NEW, NUM_REPLAYED, NUM_REFORMULATED = 384, 96, 96
GROUP_SIZE, TEACHER_ROLLOUTS = 8, 4
RESPONSE_TOKENS, PROMPT_TOKENS, CANDIDATE_TOKENS = 12_288, 1_024, 512
NUM_ROLLOUTS = (NUM_NEW + NUM_REPLAYED + NUM_REFORMULATED) * GROUP_SIZE
THRESHOLD, FRACTION = 0.5, 0.25
ACTOR_RANKS = 48  # 8 nodes with 6 of their 8 GPUs for the student
PAPER_STEP_S = 79 * 3600 / 200
"""ZPPO at 2B: 79 hours for 200 rollout steps, generation, log-probs and updates included."""

_WORDS = [
    *("so", "the", "area", "of", "triangle", "ABC", "is", "half", "base", "times", "height", "we", "know", "that"),
    *("angle", "bisector", "hence", "sum", "over", "all", "integers", "wait", "let", "me", "check", "this", "again"),
    *("if", "equals", "then", "substituting", "into", "equation", "gives", "therefore", "because", "divisor", "modulo"),
    *("probability", "remaining", "total", "number", "per", "hour", "speed", "distance", "chart", "value", "axis"),
    *("smaller", "previous", "case", "suppose", "sequence", "common", "ratio", "difference", "prime", "factor"),
    *("circle", "tangent", "point", "segment", "length", "perpendicular", "which", "means", "it", "must", "be"),
]
_GOLD = (
    *("{}", "\\frac{{{}}}{{7}}", "{}.5", "{}\\%", "{}\\sqrt{{3}}"),
    *("{}x+1", "({}, 2)", "\\text{{option {}}}", "{}\\pi"),
)


@dataclass
class Texts:
    """Draws reasoning text. Sentences come from a pool, so that hundreds of megabytes take a second."""

    rng: random.Random
    pool: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.pool = [self._sentence() for _ in range(4096)]

    def _sentence(self) -> str:
        words = self.rng.choices(_WORDS, k=self.rng.randint(6, 16))
        words.insert(3, f"${self.rng.randint(2, 99)}x^2 + {self.rng.randint(2, 999)} = \\frac{{a_{{1}}}}{{2}}$,")
        return " ".join(words).capitalize() + (".\n" if self.rng.random() < 0.3 else ". ")

    def draw(self, characters: int) -> str:
        text = "".join(self.rng.choices(self.pool, k=characters // 60))
        return text[:characters]

    def response(self, characters: int, answer: str) -> str:
        return f"<think>\n{self.draw(characters)}\n</think>\n\nThe answer is \\boxed{{{answer}}}."

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """A byte-level BPE in the way of the models' own, trained on this text."""
        bpe = Tokenizer(models.BPE())
        bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        bpe.decoder = decoders.ByteLevel()
        special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        trainer = trainers.BpeTrainer(vocab_size=1200, special_tokens=special, show_progress=False)
        bpe.train_from_iterator(self.pool, trainer)
        return PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>")


@dataclass
class PaperStep:
    """Questions, groups and teacher answers of one step. ``characters``: length of a full response."""

    questions: list[Question]
    plain: list[Group]
    reformulated: list[Group]
    teacher: dict[str, TeacherAnswers]
    gold: dict[str, str]
    characters: int
    summaries: list[str]
    """Replies of the teacher to compression requests, with the answers of the first rollouts of `plain`."""

    @property
    def groups(self) -> list[Group]:
        return [*self.plain, *self.reformulated]


def draw_step(texts: Texts, characters: int, step: int = 1) -> PaperStep:
    rng = texts.rng
    questions, gold = [], {}
    for row in range(NUM_NEW + NUM_REPLAYED):
        name = f"{rng.getrandbits(64):016x}"
        gold[name] = rng.choice(_GOLD).format(rng.randint(2, 500))
        data = {
            "raw_prompt": [{"role": "user", "content": texts.draw(800)}],
            "reward_model": {"ground_truth": gold[name]},
            "data_source": "synthetic",
            "prompt_id": name,
            "index": row,
        }
        questions.append(Question(name, row, row >= NUM_NEW, data))

    def group(question: Question, kind: Kind, hard: bool) -> Group:
        uid = f"{step}.{question.row:05d}.{kind.value}"
        right = rng.choice((0, 0, 0, 1, 2, 3)) if hard else rng.randint(4, GROUP_SIZE)
        wrong = [_wrong_answer(rng, gold[question.prompt_id]) for _ in range(4)]
        rollouts = []
        for session in range(GROUP_SIZE):
            answer = gold[question.prompt_id] if session < right else rng.choice(wrong)
            text = texts.response(characters, answer)
            reward = float(session < right)
            key = f"{uid}_{session}_0"
            rollouts.append(Rollout(session, key, text, reward, answer, PROMPT_TOKENS, RESPONSE_TOKENS))
        return Group(uid, kind, question, step, rollouts)

    hard = [question for i, question in enumerate(questions) if i % 2]
    plain = [group(question, Kind.PLAIN, bool(i % 2)) for i, question in enumerate(questions)]
    reformulated = [group(q, kind, True) for q in hard[: NUM_REFORMULATED // 2] for kind in (Kind.BCQ, Kind.NCQ)]
    teacher = {}
    for question in hard:
        answers = [gold[question.prompt_id], gold[question.prompt_id], *(rng.choice(("1", "2", "none")) for _ in "ab")]
        teacher[question.prompt_id] = TeacherAnswers(
            tuple(
                TeacherRollout(texts.response(characters, answer), float(i < 2), RESPONSE_TOKENS)
                for i, answer in enumerate(answers)
            )
        )
    summary_characters = characters * CANDIDATE_TOKENS // RESPONSE_TOKENS * 9 // 10
    summaries = [
        f"<summary>\n{texts.draw(summary_characters)}\n\\boxed{{{rollout.answer}}}\n</summary>"
        for group in plain
        for rollout in group.rollouts
    ]
    return PaperStep(questions, plain, reformulated, teacher, gold, characters, summaries)


def _wrong_answer(rng: random.Random, gold: str) -> str:
    """Mostly of the form of the right answer, as wrong answers are."""
    while True:
        template = rng.choice(_GOLD)
        answer = template.format(rng.randint(2, 500))
        same_form = [ch for ch in answer if not ch.isdigit()] == [ch for ch in gold if not ch.isdigit()]
        if answer != gold and (same_form or rng.random() < 0.1):
            return answer


def uids(step: PaperStep) -> np.ndarray:
    """(N,) group of each rollout, as verl hands it to the estimator."""
    return np.array([group.uid for group in step.groups for _ in group.rollouts], dtype=object)
