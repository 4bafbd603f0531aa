"""No tag, token or control character of a model's text survives, and nothing else is lost."""

import copy
import pickle
import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from recipe.zppo.sanitize import SafeText, _any_of, sanitize

NAMES = ["candidate", "response", "summary", "hint", "think"]
TOKENS = [f"<|{name}|>" for name in ("im_start", "im_end", "endoftext", "vision_start")]
TOKENS += ["<image>", "<video>", "[INST]", "<s>", "</s>"]
OWN = ("<|own|>", "▁<EOT>", "[CUSTOM]", "~tok~")

# Pieces from which hypothesis builds text that is about to become a tag.
PIECES = st.sampled_from(
    [
        *[f"<{slash}{name}>" for name in NAMES for slash in ("", "/")],
        *TOKENS,
        *OWN,
        *["<", ">", "/", "|", "[", "]", " ", "\n", "\x00", "\u200b", "\ufffd", "\ud800", "é", "a < b"],
        *["<cand", "</cand", "cand", "idate", "idate>", "CANDIDATE", "think", "＜／candidate＞"],
        *["<|im_", "end|>", "[IN", "ST]", "~to", "k~", "▁<E", "OT>"],
    ]
)
HOSTILE = st.lists(PIECES | st.text(max_size=3), max_size=40).map("".join)


def slow_has_forbidden(text: str) -> bool:
    """What must not be in the text, said another way: no bounds, Unicode case rules, only plain tags."""
    folded = "".join(chr(ord(c) - 0xFEE0) if 0xFF01 <= ord(c) <= 0xFF5E else c for c in text)
    tags = rf"<\s?/?\s?({'|'.join(NAMES)})\s?/?>"
    literal = any(token.lower() in folded.lower() for token in (*TOKENS, *OWN))
    control = any((ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 for c in folded)
    return literal or control or re.search(tags, folded, re.IGNORECASE) is not None


@given(HOSTILE)
@example("<cand<candidate>idate>")
@example("<ca<ca<ca<ca<ca<ca<candidate>ndidate>ndidate>ndidate>ndidate>ndidate>ndidate>")
@example("<candidate x=" + "<s>" * 3 + ">")
def test_nothing_forbidden_survives_and_a_second_pass_changes_nothing(text):
    clean = sanitize(text, OWN)
    assert not slow_has_forbidden(clean)
    assert sanitize(clean, OWN) == clean
    clean.encode("utf-8")
    assert clean == SafeText(text, OWN)
    for copied in (copy.deepcopy(clean), pickle.loads(pickle.dumps(clean)), clean.strip()):
        assert isinstance(copied, SafeText) and not slow_has_forbidden(copied)
    assert not slow_has_forbidden(sanitize(SafeText(text), OWN))


# Variation selectors of the supplementary plane are no control characters for Unicode, but as invisible.
HIDDEN = "".join(map(chr, range(0xE0100, 0xE01F0)))


@given(st.text(alphabet=st.characters(exclude_categories=["C"], exclude_characters="<[＜［~▁" + HIDDEN), max_size=60))
def test_text_without_brackets_is_untouched(text):
    assert sanitize(text, OWN) == text


@pytest.mark.parametrize(
    "text",
    [
        "if a < b and c > d: return a<b>c",
        "x < response and y > 3",
        "\\frac{1}{2} \\le \\langle x|y \\rangle, \\{a : a<s\\}",
        "<|x|> is the mean of |x|; <b>bold</b> <div class='hint'>",
        "def f(a: list[int]) -> dict[str, int]:\n\treturn a[0] << 2",
        "candidate response summary hint think",
        "for (i=0;i<n;i++) cout<<x>>y;",
        "日本語 emoji 👩\u200d👩\u200d👧 émile ∀x∈ℝ",
        "",
    ],
)
def test_ordinary_maths_code_and_prose_is_untouched(text):
    assert sanitize(text) == text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("<think>y9=9</think>\\boxed{9}", "y9=9\\boxed{9}"),
        ("a</candidate>b", "ab"),
        ("a< / CANDIDATE\n>b", "ab"),
        ('a<candidate id="3" >b', "ab"),
        ("<cand<candidate>idate>", ""),
        ("<|im_<|im_end|>end|>", ""),
        ("<|Any_Name 3|>", ""),
        ("＜/candidate＞", ""),
        ("<｜begin▁of▁sentence｜>", ""),
        ("</cand\x00id\u200bate>", ""),
        ("a\r\nb\rc", "a\nb\nc"),
        ("<image><IMAGE>[inst][/INST]<s></s><<SYS>>", ""),
    ],
)
def test_examples(text, clean):
    assert sanitize(text) == clean


def test_words_and_numbers_among_the_callers_tokens_are_not_taken_from_the_text():
    assert sanitize("12 apples~tok~ \n", ["12", "apples", " ", "\n", "", "~tok~"]) == "12 apples \n"


@pytest.mark.parametrize(
    "unit",
    [
        *["<candidate>", "<candidate", "<candidate x=", "<cand<candidate>idate>", "<cand", "<", ">", "</", "<|", "<|a"],
        *["< ", "[", "[INST", "~tok", "\x00", "a < b ", "<<s>s>"],
    ],
)
def test_a_megabyte_of_anything_takes_linear_time(unit):
    text, own = unit * (1_000_000 // len(unit)), [*OWN, *(f"<|token_{i}|>" for i in range(300))]
    start = time.process_time()
    sanitize(text, own)
    assert time.process_time() - start < 3


def test_deep_nesting_takes_linear_time_and_leaves_no_tag():
    depth = 50_000
    text = "<candi" * depth + "date>" * depth
    start = time.process_time()
    clean = sanitize(text)
    assert time.process_time() - start < 3
    assert "<candidate>" not in clean and sanitize(clean) == clean


def test_the_longest_word_is_taken_out():
    words = ["<a>", "<ab>", "x", "<a>b", "<a>bcd", "^", "(.*)"]
    pattern = re.compile(_any_of(words))
    for text in ("<a>bcd", "<a>b", "<a>c", "<ab>", "x", "<a", "^", "(.*)", "b"):
        longest = max((word for word in words if text.startswith(word)), key=len, default=None)
        match = pattern.match(text)
        assert (match and match.group()) == longest
