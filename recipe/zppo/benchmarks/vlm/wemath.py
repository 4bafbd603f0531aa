"""We-Math testmini: problems that need one, two or three pieces of knowledge, and their parts as questions of their
own.

`We-Math/We-Math`, split testmini, 1,740 questions. Columns: ID, key (``2steps_1``, ``2steps_multi``), question, option
(``A. 5; B. 6; C. 7; D. No correct answer``), answer (a letter), image_path (the picture). Options in another form are
shown as they are, and read as a short answer. The score is the accuracy over all questions, as the class Exact+Judge
says; the authors' four-way analysis of problems and their parts is another number.
"""

from collections.abc import Iterator

from recipe.zppo.benchmarks.contract import Benchmark, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.scoring.short import decide_exact
from recipe.zppo.benchmarks.seen import BY_SEMICOLON, image, options_in, seen, without_form


def _questions(row: Row, part: str | None, place: int) -> Iterator[Question]:
    gold = row["answer"].strip()
    options = options_in(row["option"], BY_SEMICOLON, gold)
    text = without_form(row["question"]) if options else f"{without_form(row['question'])}\n{row['option']}"
    picture = image(row, "image_path")
    yield seen(f"{row['ID']}/{row['key']}/{place}", [picture], text, gold, options, category=row["key"])


BENCHMARK = Benchmark(
    name="WeMath",
    title="We-Math testmini",
    family=Family.VLM,
    scoring=Scoring.EXACT_JUDGE,
    source=Source("We-Math/We-Math", "testmini", columns=("ID", "key", "question", "option", "answer", "image_path")),
    questions=_questions,
    decide=decide_exact,
    size=1740,
)
