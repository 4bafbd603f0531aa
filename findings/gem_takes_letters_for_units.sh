#!/usr/bin/env bash
# GEM's reward for mathematics drops the letters a, c, h, l, o and t as units: t^2 is right where the answer is a^2.
#
# Versions: gem-llm 0.1.0, math-verify 0.9.0, latex2sympy2_extended 1.11.0, antlr4-python3-runtime 4.13.2, sympy 1.14.0,
#   pylatexenc 2.10 (CPU; the grader is loaded without the package's list of environments).
# Behaviour: MathEnv gives 1 where what is in the box is equal to the key by any of three comparisons. The first one
#   compares texts, after it has taken units out. Its list of units has single letters and words of usual language: a,
#   c, h, l, o, t, ab, bc, by, per, prime, ratio. They are dropped wherever no letter or digit stands beside them, so
#   that also a variable in a formula goes, from key and answer alike. One would expect a comparison that comes first to
#   be the strict one. Here a formula in such letters is right with other ones in their places, c - a for a - c. Letters
#   outside the list, or with a digit before them, are compared.
#   What stands behind \text is dropped as well: of "4\text{ and }5", a usual key of MATH, half is enough.
# Seen (key, answer in the box -> reward):
#   a^2, t^2 -> 1
#   x^2, t^2 -> 0
#   \frac{1}{t}, \frac{1}{h} -> 1
#   \frac{a+c}{h}, \frac{c+t}{a} -> 1
#   a-c, c-a -> 1
#   x-y, y-x -> 0
#   (a,c), (c,a) -> 1
#   x+c, x -> 0
#   e^{t}, e^{h} -> 1
#   4\text{ and }5, 4 -> 1
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip=("$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile)
"${pip[@]}" math-verify==0.9.0 latex2sympy2_extended==1.11.0 antlr4-python3-runtime==4.13.2 sympy==1.14.0 \
  pylatexenc==2.10
"${pip[@]}" --no-deps gem-llm==0.1.0
cat > "$work/run.py" <<'PY'
import sys
from importlib.util import find_spec, module_from_spec

spec = find_spec("gem")
sys.modules["gem"] = module_from_spec(spec)  # not executed: the environments need many packages more
from gem.utils.math_grader import boxed_reward_fn  # noqa: E402

for key, answer, expected in (
    ("a^2", "t^2", 1),
    ("x^2", "t^2", 0),
    (r"\frac{1}{t}", r"\frac{1}{h}", 1),
    (r"\frac{a+c}{h}", r"\frac{c+t}{a}", 1),
    ("a-c", "c-a", 1),
    ("x-y", "y-x", 0),
    ("(a,c)", "(c,a)", 1),
    ("x+c", "x", 0),
    ("e^{t}", "e^{h}", 1),
    (r"4\text{ and }5", "4", 1),
):
    settings = dict(fast=False, correct_reward=1, incorrect_reward=0)  # those of MathEnv
    found, itself = (boxed_reward_fn(rf"So it is \boxed{{{each}}}.", key, **settings)[1] for each in (answer, key))
    print(f"{key}, {answer} -> {found}")
    assert (found, itself) == (expected, 1), (found, itself)
PY
"$work/venv/bin/python" -W ignore "$work/run.py"
