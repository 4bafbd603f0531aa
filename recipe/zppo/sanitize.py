"""Making text that a model wrote safe to put into a prompt.

A candidate is untrusted: it may hold `</candidate>` and go on as if it were the question, carry `<|im_end|>` and
open a turn of its own, or `<image>`, for which a data pipeline would look for an image. `sanitize` takes out

- the tags of the templates (`candidate`, `response`, `summary`, `hint`) and `think`, opening or closing, with white
  space or attributes inside. The text between two think tags stays: the reasoning is what a candidate is shown for;
- chat-template tokens: anything of the form `<|name|>`, the usual ones of other forms, and the caller's list;
- NUL, control and invisible formatting characters, and lone surrogates (which no tokenizer can encode).

`a < b`, LaTeX, code and HTML of other names pass unchanged. The result is a `SafeText`, which need not be
made safe again.

Matching ignores case and full-width forms. Taking a tag out can put another together (`<cand<candidate>idate>`), so
it is repeated. Text built to need many rounds would make that quadratic; after `_ROUNDS` rounds the first
character of whatever still matches is replaced by U+FFFD instead, which leaves nothing in one more round, since
U+FFFD stands in no pattern and no other character moves. Every pattern has a bounded length, so a round is linear.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

_ROUNDS = 4
_NEUTRAL = "\ufffd"

_TAG_NAMES = ("candidate", "response", "summary", "hint", "think")

# A name, white space, and attributes if they look like `key=value`: `x < hint and y > 3` is no tag.
_TAG = (
    r"<\s{0,4}/?\s{0,4}(?:" + "|".join(_TAG_NAMES) + r")\s{0,4}"
    rf"(?:\s[a-z][a-z0-9_-]{{0,31}}\s{{0,2}}=[^<>{_NEUTRAL}]{{0,64}})?/?\s{{0,4}}>"
)

# Two characters at least: `<|x|>` is the mean of |x|.
_PIPE_TOKEN = rf"<\|[^<>|\s{_NEUTRAL}][^<>|\n{_NEUTRAL}]{{0,62}}[^<>|\s{_NEUTRAL}]\|>"

_LITERALS = (
    *("<s>", "</s>", "<bos>", "<eos>", "<pad>", "<unk>", "<mask>", "<cls>", "<sep>", "[cls]", "[sep]", "[mask]"),
    *("[inst]", "[/inst]", "<<sys>>", "<</sys>>", "[system_prompt]", "[/system_prompt]"),
    *("[available_tools]", "[/available_tools]", "[tool_calls]", "[tool_results]", "[/tool_results]"),
    *("<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"),
    *("<image>", "</image>", "<img>", "</img>", "[img]", "[img_break]", "[img_end]", "<img_context>"),
    *("<video>", "</video>", "<audio>", "</audio>"),
    *("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<tools>", "</tools>"),
)

# Tab and line feed stay; carriage returns become line feeds. The rest is unseen: C0, DEL, C1, soft hyphen, bidi and
# zero-width marks (but not the joiners U+200C and U+200D, which scripts and emoji need), all of plane 14, surrogates.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff\ud800-\udfff]"
)

# One character to one character, so that a place in the folded text is the same place in the text.
_FOLD = {code: chr(code + 32) for code in range(ord("A"), ord("Z") + 1)}
_FOLD.update({0xFEE0 + code: chr(code).lower() for code in range(0x21, 0x7F)})  # full-width forms
_FOLD.update({0x212A: "k", 0x017F: "s"})  # Kelvin sign and long s, which Unicode case folding takes for k and s


class SafeText(str):
    """A text that was made safe: however one is made, it is without what `sanitize` takes out."""

    __slots__ = ()

    def __new__(cls, text: str, special_tokens: Iterable[str] = ()) -> "SafeText":
        return str.__new__(cls, _cleaned(text, tuple(special_tokens)))

    def strip(self, chars: str | None = None, /) -> "SafeText":
        """Stays safe: a part has nothing that the whole has not."""
        return str.__new__(SafeText, str.strip(self, chars))

    def __reduce__(self) -> tuple[Any, ...]:
        """Between processes it is copied, not made safe again."""
        return str.__new__, (SafeText, str(self))


def sanitize(text: str, special_tokens: Iterable[str] = ()) -> SafeText:
    """`text` without tags of the templates, chat-template tokens and control characters; idempotent.

    Args:
        special_tokens: the special (or all added) tokens of the tokenizer that will read the text. Entries that are
            white space or nothing but letters and digits are passed over: removing them would take ordinary words
            and numbers out of the text.
    """
    tokens = tuple(special_tokens)
    return text if isinstance(text, SafeText) and not tokens else SafeText(text, tokens)


def sanitize_line(text: str) -> str:
    """`sanitize`, with white space folded, which by itself could put a tag together that had too much of it."""
    line = " ".join(text.split())
    for _ in range(_ROUNDS):
        before, line = line, " ".join(sanitize(line).split())
        if line == before:
            return line
    return " ".join(sanitize(line.replace("<", _NEUTRAL).replace("\uff1c", _NEUTRAL)).split())


def _cleaned(text: str, special_tokens: tuple[str, ...]) -> str:
    text = _UNSEEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    forbidden, starts = _patterns(special_tokens)
    for _ in range(_ROUNDS):
        removed = _replace(forbidden, text, "")
        if removed == text:
            return text
        text = removed
    return _replace(starts, text, _NEUTRAL)


def _replace(pattern: re.Pattern[str], text: str, replacement: str) -> str:
    """`text` with every place at which `pattern` matches the folded text replaced."""
    pieces: list[str] = []
    end = 0
    for match in pattern.finditer(text.translate(_FOLD)):
        pieces += (text[end : match.start()], replacement)
        end = match.end()
    return "".join(pieces) + text[end:] if pieces else text


@lru_cache(maxsize=16)
def _patterns(special_tokens: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Two patterns over folded text: what must not be there, and the first character of each such place."""
    folded = {_UNSEEN.sub("", token).strip().translate(_FOLD) for token in special_tokens}
    literals = {token for token in folded if token and not token.isalnum() and _NEUTRAL not in token}
    forbidden = "|".join([_TAG, _PIPE_TOKEN, _any_of(literals | set(_LITERALS))])
    return re.compile(forbidden), re.compile(rf"(?=(?:{forbidden})).", re.DOTALL)


def _any_of(words: Iterable[str]) -> str:
    """A pattern of the longest of ``words`` at a place.

    A tree by first characters: one after the other, some hundred words that all begin with "<" would be tried at each.
    """
    tree: dict[str, list[str]] = {}
    for word in words:
        tree.setdefault(word[:1], []).append(word[1:])
    ends = "" in tree
    branches = [re.escape(first) + _any_of(rest) for first, rest in sorted(tree.items()) if first]
    pattern = branches[0] if len(branches) == 1 and not ends else f"(?:{'|'.join(branches)})" if branches else ""
    return f"{pattern}?" if ends and branches else pattern
