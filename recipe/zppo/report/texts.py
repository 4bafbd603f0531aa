"""A question's life in full: what the student was shown and what it said, each time that the question was drawn."""

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recipe.zppo.report.pictures import pictures
from recipe.zppo.report.questions import in_turn
from recipe.zppo.run.folder import RunFolder
from recipe.zppo.run.step_events import REASONS
from recipe.zppo.view.question_life import Draw, Life, with_texts

LONGEST = 8_000
"""Characters of a text at most; of a longer one beginning and end, as an answer stands at the end."""

_PER_TOKEN = 4
_PACKED = 0.45
"""Characters of a token, and how much of text is left when it is packed, about: to choose before files are read."""


def packed_lives(folder: RunFolder, lives: Sequence[Life], most_bytes: int) -> dict[str, str]:
    """By question, in the order of `in_turn` and as many as fit in ``most_bytes``: JSON, deflated, as base64."""
    chosen: list[Life] = []
    size = 0.0
    for life in in_turn(lives):
        size += _PACKED * sum(_guess(group) for draw in life.draws for group in draw.groups)
        if size > most_bytes and chosen:
            break
        chosen.append(life)
    found: dict[str, str] = {}
    left = most_bytes
    for life, content in in_full(folder, chosen):
        packed = base64.b64encode(zlib.compress(json.dumps(content).encode())).decode()
        if (left := left - len(packed)) < 0:
            break
        found[life.prompt_id] = packed
    return found


def in_full(folder: RunFolder, lives: Sequence[Life]) -> Iterator[tuple[Life, dict[str, Any]]]:
    """Each with everything that a reader of its life wants to see; texts that the log has not are left out."""
    lines = {id(group): _short(line) for group, line in with_texts(folder, lives)}
    shown = pictures(folder, lives)
    for life in lives:
        draws = [_draw(draw, lines) for draw in life.draws]
        questions = (lines[id(draw.plain)]["question"] for draw in life.draws if id(draw.plain) in lines)
        question = next(questions, life.question)
        yield life, {"question": question, "pictures": shown.get(life.prompt_id, []), "draws": draws}


def _guess(group: Mapping[str, Any]) -> int:
    responses = sum(min(LONGEST, _PER_TOKEN * response["num_tokens"]) for response in group["responses"])
    return responses + LONGEST // 4


def _draw(draw: Draw, lines: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    plain = lines.get(id(draw.plain), {})
    return {
        "step": draw.step,
        "accuracy": draw.accuracy,
        "replayed": draw.plain["replayed"],
        "skipped": {kind: REASONS.get(reason, reason) for kind, reason in draw.skipped.items()},
        "teacher": _teacher(draw.teacher, plain.get("teacher", [])) if draw.teacher else None,
        "groups": [_group(group, lines.get(id(group))) for group in draw.groups],
    }


def _teacher(event: Mapping[str, Any], texts: Sequence[str | None]) -> dict[str, Any]:
    texts = _padded(texts, event["responses"])
    said = [response | {"text": text} for response, text in zip(event["responses"], texts, strict=True)]
    return {"responses": said, "failed": event["failed"], "error": event["error"], "place": event["teacher"]}


def _group(event: Mapping[str, Any], line: Mapping[str, Any] | None) -> dict[str, Any]:
    texts = _padded(line["responses"] if line else [], event["responses"])
    known = range(len(event["candidates"]))  # none, where the log has lost the event that names them
    return {
        "kind": event["kind"],
        "step": event["step"],
        "line": event["line"],
        "accuracy": event["accuracy"],
        "trained": event["trained"],
        "failures": event["failures"],
        "candidates": event["candidates"],
        "form": event.get("form", ""),
        "prompt": [
            message | {"parts": [[text, number if number in known else -1] for text, number in message["parts"]]}
            for message in line["prompt"]
        ]
        if line
        else None,
        "hint": line["hint"] if line else "",
        "responses": [
            response | {"text": text, "follows": [number for number in response.get("follows", ()) if number in known]}
            for response, text in zip(event["responses"], texts, strict=True)
        ],
    }


def _padded(texts: Sequence[str | None], responses: Sequence[Any]) -> list[str | None]:
    """As many as there are responses: a log cut by hand has fewer."""
    return [texts[i] if i < len(texts) else None for i in range(len(responses))]


def _short(line: Mapping[str, Any]) -> dict[str, Any]:
    """Of a line of a rollout file, what the page shows of it."""
    candidates = [str(candidate.get("text") or "") for candidate in line["candidates"]]
    return {
        "question": cut(str(line.get("question") or "")),
        "prompt": [
            {"role": str(message.get("role")), "parts": parts(str(message.get("content") or ""), candidates)}
            for message in line.get("prompt") or []
            if isinstance(message, dict)
        ],
        "responses": [cut(str(response.get("text") or "")) for response in line["responses"]],
        "teacher": [cut(str(each.get("text") or "")) for each in line.get("teacher", {"responses": []})["responses"]],
        "hint": cut(str(line.get("hint") or "")),
    }


def parts(text: str, candidates: Sequence[str]) -> list[list[Any]]:
    """The text in pieces, each with the number of the candidate that it is, or -1; together they are the text.

    A candidate stands alone on its lines (`recipe.zppo.prompts`), so that a short one isn't found in the question.
    """
    found: list[list[Any]] = []
    opening, closing = "<candidate>\n", "\n</candidate>"
    for number, candidate in enumerate(candidates):
        before, there, after = text.partition(f"{opening}{candidate}{closing}")
        if candidate and there:
            found += [[cut(before + opening), -1], [cut(candidate), number]]
            text = closing + after
    return [*found, [cut(text), -1]] if text else found


def cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    end = LONGEST // 4
    return f"{text[: LONGEST - end]}\n[… {len(text) - LONGEST:,} characters are in the log only …]\n{text[-end:]}"
