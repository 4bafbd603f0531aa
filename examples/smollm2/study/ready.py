"""Are the models what the study was planned for? ``ready.py STUDENT.jsonl [TEACHER.jsonl]``

The files are `accuracy.py`'s. The bounds were fixed before the models were measured. Exit status 3 if a model is
too weak, 1 if the student is too strong.
"""

import json
import sys
from pathlib import Path

STUDENT = (0.05, 0.50)
"""Sometimes right: below, nearly every group is all wrong; above, few questions are hard."""
TEACHER = 0.45
"""Right so often that of four answers at least one is, in most questions."""
GAP = 0.20


def about_student(student: float) -> list[str]:
    """What is not as planned, of its accuracy over all questions."""
    if STUDENT[0] <= student <= STUDENT[1]:
        return []
    return [f"the student is right in {student:.1%}, not in {STUDENT[0]:.0%} to {STUDENT[1]:.0%}"]


def about_teacher(teacher: float, student: float) -> list[str]:
    found = []
    if teacher < TEACHER:
        found.append(f"the teacher is right in {teacher:.1%}, less than {TEACHER:.0%}")
    if teacher < student + GAP:
        found.append(f"the teacher ({teacher:.1%}) is less than {GAP:.0%} above the student")
    return found


def accuracies(file: Path) -> dict[str, float]:
    """Of the model that was measured last."""
    report = json.loads(file.read_text(encoding="utf-8").splitlines()[-1])
    return {task: figures["accuracy"] for task, figures in report["by_task"].items()}


def main() -> int:
    student, *teachers = (accuracies(Path(name)) for name in sys.argv[1:])
    for task, share in student.items():
        print(f"{task}: student {share:.1%}", *(f"teacher {teacher.get(task, 0.0):.1%}" for teacher in teachers))
    found = [text for teacher in teachers for text in about_teacher(teacher["all"], student["all"])]
    found += about_student(student["all"])
    for complaint in found:
        print(f"not ready: {complaint}", file=sys.stderr)
    if student["all"] > STUDENT[1]:
        print("take fewer rows for the student in data.py, and begin in a new ZPPO_HOME", file=sys.stderr)
        return 1
    return 3 if found else 0


if __name__ == "__main__":
    sys.exit(main())
