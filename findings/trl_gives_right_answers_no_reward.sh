#!/usr/bin/env bash
# trl's accuracy_reward gives 0 to a completion that boxes the solution itself, character by character.
#
# Versions: trl 1.16.0, math-verify 0.9.0, latex2sympy2_extended 1.11.0, sympy 1.14.0 (CPU, without torch).
# Behaviour: accuracy_reward takes solutions as "raw text"; the example in its documentation has a bare \frac{1}{3}. One
#   would expect a completion to be right that boxes the same text. Two things are in the way.
#   - A solution without dollar signs is not read as LaTeX. A \frac of two whole numbers is known in it, and else one of
#     its numbers is taken: of 3\sqrt{13} the 3, of 6-5i the 5. So that part is right, and the whole is not. Where no
#     number stands alone, as in \dfrac{1}{3}, the example is skipped: the reward is None.
#   - With dollar signs all of them are right, except \frac13 and \sqrt3, which is LaTeX too and usual in data sets of
#     mathematics. In a solution it is read; for completions trl switches that off, as a malformed operator.
# Seen (reward of the completion "So the answer is $\boxed{solution}$.", by the solution):
#   \frac{1}{3}: 1.0, with dollar signs 1.0
#   \dfrac{1}{3}: None, with dollar signs 1.0
#   3\sqrt{13}: 0.0, with dollar signs 1.0
#   6-5i: 0.0, with dollar signs 1.0
#   10,\!080: 0.0, with dollar signs 1.0
#   \left(3, \frac{\pi}{2}\right): None, with dollar signs 1.0
#   \frac13: None, with dollar signs 0.0
#   2\sqrt3: 0.0, with dollar signs 0.0
#   3\sqrt{13}: 1.0 for the completion "So the answer is $\boxed{3}$."
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install --quiet --disable-pip-version-check)
"${pip[@]}" math-verify==0.9.0 latex2sympy2_extended==1.11.0 antlr4-python3-runtime==4.13.2 sympy==1.14.0 packaging
"${pip[@]}" --no-deps trl==1.16.0  # its requirements, torch among them, are not needed for this reward
cat > "$work/run.py" <<'PY'
from trl.rewards import accuracy_reward


def reward(solution, answer):
    message = {"role": "assistant", "content": f"So the answer is $\\boxed{{{answer}}}$."}
    (found,) = accuracy_reward([[message]], [solution])
    return found


for solution, bare, in_dollars in (
    (r"\frac{1}{3}", 1.0, 1.0),
    (r"\dfrac{1}{3}", None, 1.0),
    (r"3\sqrt{13}", 0.0, 1.0),
    (r"6-5i", 0.0, 1.0),
    (r"10,\!080", 0.0, 1.0),
    (r"\left(3, \frac{\pi}{2}\right)", None, 1.0),
    (r"\frac13", None, 0.0),
    (r"2\sqrt3", 0.0, 0.0),
):
    found = reward(solution, solution), reward(f"${solution}$", solution)
    print(f"{solution}: {found[0]}, with dollar signs {found[1]}")
    assert found == (bare, in_dollars)
part = reward(r"3\sqrt{13}", "3")
print(rf'3\sqrt{{13}}: {part} for the completion "So the answer is $\boxed{{3}}$."')
assert part == 1.0
PY
"$work/venv/bin/python" "$work/run.py"
