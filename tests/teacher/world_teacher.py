"""What an endpoint answers that knows the world's gold answers: a teacher, and a judge that is malformed at times."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recipe.zppo.prompts import CLOSER
from recipe.zppo.reward import extract_answer, is_correct


class WorldTeacher:
    """Answers chat bodies; ``judged`` holds (question, reference, answer, reply) of each verdict.

    It calls right what equals the reference, and also what is ten more: so a verdict can be told from the rule's.
    """

    def __init__(self, *files: Path):
        rows = [row for file in files for row in pq.read_table(file).to_pylist()]
        self.gold = {row["prompt"][0]["content"]: row["reward_model"]["ground_truth"] for row in rows}
        self.judged: list[tuple[str, str, str, str]] = []
        self.solved: list[str] = []
        self.compressed = 0

    def __call__(self, body: dict) -> str:
        content = body["messages"][-1]["content"]
        if "<reference>" in content:
            question, reference, answer = (
                re.search(rf"<{name}>\n(.*?)\n?</{name}>\n", content, re.DOTALL)[1]
                for name in ("question", "reference", "response")
            )
            boxed = extract_answer(answer)  # of a whole response
            reply = self.verdict(reference, answer if boxed is None else boxed)
            self.judged.append((question, reference, answer, reply))
            return reply
        if content.startswith("Compress"):
            self.compressed += 1
            answer = extract_answer(content.rpartition("<response>")[2])
            return f"<summary>\\boxed{{{answer}}}</summary>" if answer is not None else "<summary>none</summary>"
        question = content.removesuffix("\n\n" + CLOSER.text)
        self.solved.append(question)
        return f"<think>1+1=2</think>\\boxed{{{self.gold[question]}}}"

    @staticmethod
    def verdict(reference: str, answer: str) -> str:
        if not re.fullmatch(r"-?\d+", answer):
            return '{"verdict": "wrong"}'
        if int(answer) % 7 == 3:
            return "It is correct."
        right = int(answer) - int(reference) in (0, 10)
        return '{"verdict": "correct"}' if right else '{"verdict": "wrong"}'


def verdict_of(reply: str) -> str:
    return {'{"verdict": "wrong"}': "wrong", '{"verdict": "correct"}': "correct"}.get(reply, "malformed")


def with_free_form_rows(source: Path, target: Path, every: int = 2) -> Path:
    """The rows of a file, each ``every``-th of them marked free-form."""
    rows = pq.read_table(source).to_pylist()
    for number, row in enumerate(rows):
        row["extra_info"] = row["extra_info"] | {"answer_type": "rule" if number % every else "free_form"}
    pq.write_table(pa.Table.from_pylist(rows), target)
    return target


def check_routing(lines: list[dict], free_form: set[str], teacher: WorldTeacher) -> dict[str, int]:
    """That verdicts of a step's rollout lines are those of free-form rows only; gives how often each verdict came."""
    seen = {"correct": 0, "wrong": 0, "malformed": 0}
    for line in lines:
        judged = line["prompt_id"] in free_form
        responses = [(r, r["answer"]) for r in line["responses"]]
        responses += [(r, extract_answer(r["text"])) for r in line.get("teacher", {}).get("responses", ())]
        for response, answer in responses:
            assert ("verdict" in response) == judged
            if not judged:
                assert response["reward"] == float(bool(answer) and is_correct(answer, line["ground_truth"]))
                continue
            assert response["reward"] == (response["verdict"] == "correct")
            seen[response["verdict"]] += 1
            if answer:  # else the judge saw the end of the response
                reply = teacher.verdict(line["ground_truth"], answer)
                assert response["verdict"] == verdict_of(reply), (line["ground_truth"], answer)
                # The judge saw the plain question, whatever the prompt was.
                assert (line["question"], line["ground_truth"], answer, reply) in teacher.judged
    return seen
