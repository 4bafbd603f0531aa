#!/usr/bin/env bash
# Answer keys of reasoning-gym are wrong: an eighth to a half of four tasks. Who answers right is given no point.
#
# Versions: reasoning-gym 0.1.25 (one requirement, pycosat, is compiled: a C compiler must be there).
# Behaviour: the questions are made by programs, so one would expect each key to be right by construction. Here each is
#   checked without the package, from the text of the question or the board.
#   - syllogism: "All A are B, some B are (not) C, so some A are (not) C" has the key Yes, the textbook fallacy of the
#     undistributed middle. The check looks for a world where the premises hold, no term is empty, and the conclusion
#     does not hold.
#   - family_relationships: for in-laws the key says what the second person is to the first. "What is Mia to Edward?",
#     the wife of Edward's son, has the key father-in-law; daughter-in-law is no relation that the task knows.
#   - tsumego, "Black to play and capture some stones": the stones to capture may be joined with others that have more
#     liberties. Then the key's move captures nothing, and nearly always no other move does.
#   - time_intervals with milliseconds: the key is cut, not rounded, from a float, and is one millisecond short. A right
#     answer is still given nearly one point here; to who compares with the key, it is wrong.
# Seen (1000 questions each, default settings, of time_intervals those with milliseconds):
#   syllogism: 134 keys are wrong, the right answer is given 0.0
#   family_relationships: 141 keys are wrong, the right answer is given 0.0
#   tsumego: 264 keys are wrong, of which 244 where no move captures
#   time_intervals: 488 keys are wrong
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check reasoning-gym==0.1.25
cat > "$work/run.py" <<'PY'
import re
from datetime import datetime, timedelta
from itertools import chain, combinations, product

from reasoning_gym import create_dataset
from reasoning_gym.graphs.family_relationships import FamilyRelationshipsConfig

SIZE = 1000
SIDES = (1, 0), (-1, 0), (0, 1), (0, -1)


def holds(statement, things):
    """Whether "All|No|Some X are (not) Y" holds of things, each the set of the terms that it falls under."""
    some, subject, no, predicate = re.fullmatch(r"(\w+) (\w+) are (not )?(\w+)", statement).groups()
    both = [predicate in thing for thing in things if subject in thing]
    return {"All": all(both), "No": not any(both), "Some": (not all(both)) if no else any(both)}[some]


def syllogism(entry):
    """The right answer, if the key is another. So do the functions below."""
    one, two, conclusion = re.findall(r"^(?:\d\. )?((?:All|No|Some) \w+ are (?:not )?\w+)", entry["question"], re.M)
    terms = sorted({term for pair in re.findall(r"(\w+) are (?:not )?(\w+)", f"{one}, {two}") for term in pair})
    kinds = [{term for term, has in zip(terms, bits) if has} for bits in product((0, 1), repeat=3)]
    worlds = chain.from_iterable(combinations(kinds, count) for count in range(1, 9))
    worlds = (world for world in worlds if set().union(*world) == set(terms))
    refuted = any(holds(one, world) and holds(two, world) and not holds(conclusion, world) for world in worlds)
    return "No" if refuted and entry["answer"] == "Yes" else None


def family(entry):
    story, question = entry["question"].split("\n\n")
    first, second = re.search(r" is (\w+) (?:related )?to (\w+)\?", question).groups()
    married = dict(re.findall(r"(\w+) is married to (\w+)", story))
    married |= {wife: husband for husband, wife in married.items()}
    parents = re.findall(r"(\w+) is married to (\w+)\. They have (?:a child|children) called ([\w, ]+)\.", story)
    children = {parent: re.split(r", | and ", names) for *couple, names in parents for parent in couple}
    is_child_in_law = married.get(first) in children.get(second, [])
    gender = "daughter" if first in FamilyRelationshipsConfig().female_names else "son"
    assert is_child_in_law == (entry["answer"] in ("father-in-law", "mother-in-law"))
    return f"{gender}-in-law" if is_child_in_law else None


def captures(board, row, column):
    """Whether white stones are without a liberty once black has played there."""
    stones = {(r, c): stone for r, line in enumerate(board) for c, stone in enumerate(line)} | {(row, column): "X"}
    alive = {point for point, stone in stones.items() if stone == "."}
    while more := {(r + a, c + b) for r, c in alive for a, b in SIDES if stones.get((r + a, c + b)) == "O"} - alive:
        alive |= more
    beside = {(row + a, column + b) for a, b in SIDES}
    return any(stones.get(point) == "O" and point not in alive for point in beside)


def tsumego(entry):
    board, (letter, number) = entry["metadata"]["board"], re.fullmatch(r"([A-Z])(\d+)", entry["answer"]).groups()
    move = len(board) - int(number), ord(letter) - ord("A")
    free = [(r, c) for r, line in enumerate(board) for c, stone in enumerate(line) if stone == "."]
    assert move in free
    right = [other for other in free if captures(board, *other)]
    return None if move in right else right


def interval(entry):
    start, end = (datetime.strptime(text, "%H:%M:%S.%f") for text in re.findall(r"\d+:\d+:\d+\.\d+", entry["question"]))
    key = datetime.strptime(entry["answer"], "%H:%M:%S.%f") - datetime(1900, 1, 1)
    right = end - start
    assert right - key in (timedelta(0), timedelta(milliseconds=1))
    return str(right) if right != key else None


DATA = {
    "syllogism": (syllogism, {}, 134),
    "family_relationships": (family, {}, 141),
    "tsumego": (tsumego, {}, 264),
    "time_intervals": (interval, {"task_types": ["time_ms"]}, 488),
}
for name, (check, settings, expected) in DATA.items():
    data = create_dataset(name, seed=1, size=SIZE, **settings)
    wrong = [(entry, right) for entry in data if (right := check(entry)) is not None]
    said = f"{name}: {len(wrong)} keys are wrong"
    if check in (syllogism, family):
        given = {data.score_answer(right, entry) for entry, right in wrong}
        said += f", the right answer is given {max(given)}"
        assert given == {0.0}
    elif check is tsumego:
        none = sum(not right for _, right in wrong)
        said += f", of which {none} where no move captures"
        assert none == 244
    print(said)
    assert len(wrong) == expected
PY
"$work/venv/bin/python" "$work/run.py"
