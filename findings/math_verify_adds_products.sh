#!/usr/bin/env bash
# math-verify reads usual notations as other numbers: 2(3) as 5, 12\,345 as 357, i as a letter, degrees as radians.
#
# Versions: math-verify 0.9.0, latex2sympy2_extended 1.11.0, antlr4-python3-runtime 4.13.2, sympy 1.14.0.
# Behaviour: math-verify turns an answer into a sympy expression and compares values. One would expect these notations
#   to be known, or else to be no number, and in no case to be another number.
#   - A whole number with a whole number or a fraction in parentheses behind it is taken for a mixed number, such as
#     2\frac{1}{2}, and the two are added. Where a letter, a sum or a power comes in, the product is a product.
#   - The thin space that ISO 80000 has between thousands is skipped. What remains are two numbers, added as well, or
#     multiplied where the second is 0. Thousands after commas are right.
#   - i is a letter. What can be had without i^2 = -1 is right, all else differs: (1+i)^2 and 2i, |3+4i| and 5.
#   - The sign of degrees is dropped also within sine, cosine and tangent. Radians are right.
#   - Of a repeating decimal its whole part remains.
# Seen (what is written -> how it is read, equal to its value):
#   2(3) -> 5, equal to 6: False
#   1+2(3) -> 6, equal to 7: False
#   2(\frac{1}{2}) -> 5/2, equal to 1: False
#   3(16)\pi -> 48*pi, equal to 48\pi: True
#   12\,345 -> 357, equal to 12345: False
#   1\,000 -> 0, equal to 1000: False
#   12{,}345 -> 12345, equal to 12345: True
#   (1+i)^2 -> (i + 1)**2, equal to 2i: False
#   |3+4i| -> Abs(4*i + 3), equal to 5: False
#   \tan 45^\circ -> tan(45), equal to 1: False
#   \tan \frac{\pi}{4} -> 1, equal to 1: True
#   0.\overline{3} -> 0, equal to \frac{1}{3}: False
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check math-verify==0.9.0 latex2sympy2_extended==1.11.0 \
  antlr4-python3-runtime==4.13.2 sympy==1.14.0
cat > "$work/run.py" <<'PY'
from math_verify import parse, verify

for written, read, value, right in (
    (r"2(3)", "5", "6", False),
    (r"1+2(3)", "6", "7", False),
    (r"2(\frac{1}{2})", "5/2", "1", False),
    (r"3(16)\pi", "48*pi", r"48\pi", True),
    (r"12\,345", "357", "12345", False),
    (r"1\,000", "0", "1000", False),
    (r"12{,}345", "12345", "12345", True),
    (r"(1+i)^2", "(i + 1)**2", "2i", False),
    (r"|3+4i|", "Abs(4*i + 3)", "5", False),
    (r"\tan 45^\circ", "tan(45)", "1", False),
    (r"\tan \frac{\pi}{4}", "1", "1", True),
    (r"0.\overline{3}", "0", r"\frac{1}{3}", False),
):
    answer = parse(f"${written}$")
    found, equal = str(answer[0].doit()), verify(parse(f"${value}$"), answer)
    print(f"{written} -> {found}, equal to {value}: {equal}")
    assert (found, equal) == (read, right)
PY
"$work/venv/bin/python" "$work/run.py"
