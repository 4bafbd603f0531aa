"""The templates of the method, put on chat messages.

The templates are data: `Template` holds the text of a figure of the paper as printed there. The functions take
chat messages, a list of `{"role": ..., "content": ...}` whose content is a string or a list of items such as
`{"type": "text", "text": ...}` and `{"type": "image", ...}`. They append to the *last user* message, after a blank
line, and return a new list; the input, images and earlier turns stay as they are (messages and items that need no
change are shared with the input, not copied).

The data set holds the question without the closer. Every prompt, plain or reformulated, is finished by
`with_closer`, which goes on last:

    with_closer(question)                                       # plain
    with_closer(bcq_messages(question, first, second))          # BCQ; the caller has shuffled the two
    with_closer(ncq_messages(question, wrong_answers, wrong))   # NCQ

Whatever a model wrote passes through `sanitize.sanitize` before it enters a template; what is a `SafeText` already, as
candidates and hints are, does not again.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recipe.zppo import answer_format
from recipe.zppo.errors import PromptError
from recipe.zppo.sanitize import sanitize, sanitize_line

Message = dict[str, Any]
Messages = list[Message]

SEPARATOR = "\n\n"
"""Before the closer, and before every other block. The paper says a blank line for BCQ and NCQ, and nothing for the
closer; here it stands before all alike."""

_FIELD = re.compile(r"\{([a-z][a-z0-9_]*)\}")


@dataclass(frozen=True)
class Template:
    """The text of one figure. `{name}` is a field; other braces, as in `\\boxed{}`, are text."""

    figure: int | None
    """None: the paper prints none."""
    text: str

    def fill(self, **values: str) -> str:
        """The text with its fields replaced, in one pass: a value that looks like a field stays as it is.

        Raises `KeyError` for a field without value.
        """
        return _FIELD.sub(lambda field: values[field.group(1)], self.text)

    @property
    def fields(self) -> list[str]:
        """Names of its fields in their order, a name as often as it stands there."""
        return _FIELD.findall(self.text)


CLOSER = Template(
    8,
    "You FIRST think about the reasoning process as an internal monologue and then provide the final answer. "
    "The reasoning process MUST BE enclosed within <think> </think> tags. "
    "The final answer MUST BE put in \\boxed{}.",
)

BCQ = Template(
    17,
    "Here are two candidate responses in <candidate> </candidate> tags to the question above. "
    "One is correct and another is wrong. Use these as references to help you solve the problem.\n"
    "<candidate>\n{candidate_1}\n</candidate>\n"
    "<candidate>\n{candidate_2}\n</candidate>",
)

# Fig. 18 is three pieces, because answers and candidates vary in number.
NCQ_ANSWERS = Template(18, "The following answers are all WRONG: {answers}. ")
NCQ_HEADER = Template(18, "Below are the incorrect reasoning processes in <candidate> </candidate> tags.")
NCQ_CANDIDATE = Template(18, "\n<candidate>\n{candidate}\n</candidate>")

COMPRESSION = Template(
    16,
    "Compress the response below into a summary (in 5 lines max). Rules:\n"
    "- Response is in <response>...</response> tags\n"
    "- Summary should be in <summary>...</summary> tags and should be in 5 lines max\n"
    "- Keep ONLY the essential reasoning steps and the final answer\n"
    "- Remove ALL exploratory text, self-corrections, retries, and filler\n"
    "- Do NOT re-derive or add new information\n"
    "- End with the final answer in \\boxed{} format\n"
    "<response>\n{response}\n</response>",
)

HINT_REQUEST = Template(
    19,
    "Read the solved response below and write a concise hint that helps solve the original question. "
    "Do NOT reveal the final answer, do NOT include any \\boxed{} expression, and do NOT copy the full solution. "
    "Keep only high-level guidance or the key intermediate idea.\n"
    "<response>\n{teacher_response}\n</response>",
)

# The paper says only that the hint stands inside <hint> tags; the line breaks follow the other templates.
HINT = Template(19, "<hint>\n{hint}\n</hint>")


def closer() -> str:
    """What ends every prompt of this process: the closer of Fig. 8, or the run's own (`zppo.answer.closer`)."""
    own = answer_format.chosen().closer
    return CLOSER.text if own is None else own


def with_closer(messages: Sequence[Mapping[str, Any]]) -> Messages:
    """The messages with the closer at the end of the last user message."""
    text = closer()
    return append_to_last_user(messages, text) if text else [dict(message) for message in messages]


def bcq_messages(messages: Sequence[Mapping[str, Any]], candidate_1: str, candidate_2: str) -> Messages:
    """The question with two candidates, one right and one wrong (BCQ, Fig. 17), without the closer.

    The order is the caller's: a seeded shuffle, so that the position gives nothing away.
    """
    block = BCQ.fill(candidate_1=sanitize(candidate_1), candidate_2=sanitize(candidate_2))
    return append_to_last_user(messages, block)


def ncq_messages(
    messages: Sequence[Mapping[str, Any]],
    wrong_answers: Iterable[str | None],
    candidates: Sequence[str],
) -> Messages:
    """The question with its wrong rollouts (NCQ, Fig. 18), without the closer.

    Args:
        wrong_answers: the last answer of each wrong rollout, `None` or `""` for a rollout without one. They are shown
            in boxes, or in the run's own form (`zppo.answer.form`). Each distinct answer is shown once, in order of
            first appearance. When no rollout has an answer the
            sentence that lists them is left out, and the block starts with "Below are ...".
        candidates: the (compressed) wrong rollouts, at least one.

    Raises:
        PromptError: no candidate, or no user message.
    """
    if not candidates:
        raise PromptError("an NCQ prompt needs at least one wrong rollout")
    shown = [sanitize_line(answer) for answer in wrong_answers if answer]
    distinct = [answer_format.chosen().shown(answer) for answer in dict.fromkeys(shown) if answer]
    block = NCQ_ANSWERS.fill(answers=", ".join(distinct)) if distinct else ""
    block += NCQ_HEADER.text
    block += "".join(NCQ_CANDIDATE.fill(candidate=sanitize(candidate)) for candidate in candidates)
    return append_to_last_user(messages, block)


def compression_messages(response: str, *, special_tokens: Iterable[str] = ()) -> Messages:
    """What the teacher is asked in order to compress a candidate, right or wrong alike (Fig. 16)."""
    template = _in_the_run_s_form(COMPRESSION, "in \\boxed{} format", "in this form: {shown}")
    return _asked(template, response=sanitize(response, special_tokens))


def hint_request_messages(response: str, *, special_tokens: Iterable[str] = ()) -> Messages:
    """What the teacher is asked in order to get a hint from one of its correct responses (Fig. 19)."""
    template = _in_the_run_s_form(HINT_REQUEST, "any \\boxed{} expression", "anything in this form: {shown}")
    return _asked(template, teacher_response=sanitize(response, special_tokens))


def hinted_messages(messages: Sequence[Mapping[str, Any]], hint: str) -> Messages:
    """The question with the teacher's hint (Fig. 19), without the closer."""
    return append_to_last_user(messages, HINT.fill(hint=sanitize(hint)))


def _in_the_run_s_form(template: Template, boxed: str, otherwise: str) -> Template:
    """The template as printed, or with `{shown}` for an answer in the run's own form where it speaks of boxes."""
    if answer_format.chosen().form == answer_format.BOX:
        return template
    return Template(template.figure, template.text.replace(boxed, otherwise))


def _asked(template: Template, **values: str) -> Messages:
    return [{"role": "user", "content": template.fill(shown=answer_format.chosen().shown("..."), **values)}]


def append_to_last_user(messages: Sequence[Mapping[str, Any]], block: str) -> Messages:
    """The messages with `block` after a blank line at the end of the last user message.

    Text content grows; in a list of items the last item grows if it is text, else a text item is added.

    Raises:
        PromptError: there is no user message, or its content is neither a string nor a list of items.
    """
    result: list[Any] = list(messages)
    for position in range(len(result) - 1, -1, -1):
        if result[position].get("role") == "user":
            result[position] = {**result[position], "content": _appended(result[position].get("content"), block)}
            return result
    raise PromptError("no message of role 'user' to append to")


def _appended(content: Any, block: str) -> str | list[Any]:
    if isinstance(content, str):
        return f"{content}{SEPARATOR}{block}" if content else block
    if not isinstance(content, Sequence) or isinstance(content, bytes):
        raise PromptError(f"content of a user message is {type(content).__name__}, not a string or a list of items")
    items = list(content)
    if not items:
        return [{"type": "text", "text": block}]
    last = items[-1]
    if isinstance(last, Mapping) and last.get("type") == "text" and isinstance(last.get("text"), str):
        items[-1] = {**last, "text": f"{last['text']}{SEPARATOR}{block}"}
    else:
        # Chat templates join items without a separator, so the blank line belongs to the new item.
        items.append({"type": "text", "text": f"{SEPARATOR}{block}"})
    return items


def question_text(messages: Sequence[Mapping[str, Any]]) -> str:
    """The last user message as text; images and videos show as their type.

    Raises:
        PromptError: there is no user message.
    """
    for message in reversed(messages):
        if message.get("role") == "user":
            return content_text(message["content"])
    raise PromptError("no message of role 'user' to read")


def content_text(content: str | Sequence[Mapping[str, Any]]) -> str:
    """A message's content as text; images and videos show as their type."""
    if isinstance(content, str):
        return content
    return "".join(
        (item.get("text") or "") if item.get("type") == "text" else f"<{item.get('type')}>" for item in content
    )
