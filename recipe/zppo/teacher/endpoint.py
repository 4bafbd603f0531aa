"""An OpenAI-compatible server as seen from here: chat completions and the list of models, over HTTP.

Every failure is an `EndpointError` of one line that says what to do. Neither it nor anything that is logged holds the
key, and the server's own words are bounded, and left out where they might repeat a part of the key.
"""

import asyncio
import base64
import io
import itertools
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.request import getproxies

from recipe.zppo.config.schema import ZPPOConfig
from recipe.zppo.errors import ConfigError, RolloutError
from recipe.zppo.media.parts import with_parts
from recipe.zppo.teacher.generate import Reply
from recipe.zppo.teacher.secret import Secret

_MAX_REPLY_BYTES = 64 * 2**20
_MAX_WORDS = 300
"""Characters of the server's words in a message."""
_MAX_PAUSE_S = 60.0
_JSON = {"Content-Type": "application/json"}

_HINTS = {
    401: "the key is missing or not accepted; set the environment variable of {key}",
    403: "the key has no right to this; set the environment variable of {key}",
    404: "nothing there; {address} usually ends in /v1, and {model} is the served model's name",
}
_OF_THE_KEY = re.compile(r"key|credential|auth", re.IGNORECASE)
_UNKNOWN_FIELD = re.compile(r"chat_template_kwargs|top_k|min_p|repetition_penalty")


class EndpointError(RolloutError):
    """The endpoint gave no usable reply. ``about_request``: another try, or another request, is not concerned."""

    def __init__(self, message: str, about_request: bool = False):
        super().__init__(message)
        self.about_request = about_request

    def __reduce__(self) -> tuple:
        return type(self), (str(self), self.about_request)


class KeyRefusedError(EndpointError):
    """The endpoint does not know the key; it will refuse other requests, too."""


class SettingNames(NamedTuple):
    """Of the settings that an endpoint comes from, for messages."""

    address: str = "zppo.teacher.base_url"
    model: str = "zppo.teacher.path"
    key: str = "zppo.teacher.api_key_env"
    fields: str = "zppo.teacher.openai_fields_only"


TEACHER = SettingNames()


class Completion(NamedTuple):
    reply: Reply
    finish: str
    """Why it ended: `stop`, `length`; empty where the server says neither."""


@dataclass(frozen=True)
class EndpointSpec:
    """What a client is made from; safe to print and to send."""

    base_url: str
    model: str
    key: Secret
    names: SettingNames = TEACHER


def endpoint_specs(zppo: ZPPOConfig) -> dict[str, EndpointSpec]:
    """One for each of `teacher_paths`, in their order, with the key from this process's environment."""
    address, key = zppo.teacher.base_url, Secret.from_environment(zppo.teacher.api_key_env)
    assert address is not None, "the teacher has servers of its own"
    return {path: EndpointSpec(address, path, key) for path in zppo.teacher_paths}


class Endpoint:
    """A client of one endpoint, for one event loop.

    Proxy variables and ``.netrc`` of the environment are not used, and redirects are not followed: the key goes to
    ``base_url`` and nowhere else. A failed request is not repeated here, but by the gate.
    """

    def __init__(self, spec: EndpointSpec):
        self.spec = spec
        self.url = spec.base_url.rstrip("/")
        self._session: Any = None

    async def chat(self, messages: Sequence[Mapping[str, Any]], **parameters: Any) -> Reply:
        """`complete` for whoever does not ask why the reply ended."""
        return (await self.complete(messages, **parameters)).reply

    async def complete(self, messages: Sequence[Mapping[str, Any]], **parameters: Any) -> Completion:
        """One completion. ``messages`` as `wire_messages` gives them; ``parameters`` go into the request's body.

        A server that asks to slow down (429) is asked again after the pause that it names: the caller limits the time.

        Raises:
            EndpointError: see the class.
        """
        body = _encoded({"model": self.spec.model, "messages": messages, "stream": False, **parameters})
        del messages  # pictures in text, some megabytes each, for as long as the server takes
        for attempt in itertools.count(1):
            status, retry_after, data = await self._send("POST", "/chat/completions", body)
            if status != 429:
                break
            await asyncio.sleep(_pause_s(retry_after, attempt))
        return self._completion(self._content(status, data))

    async def list_models(self) -> list[str]:
        """Names that the endpoint serves.

        Raises:
            EndpointError: see the class.
        """
        status, _, data = await self._send("GET", "/models", None)
        content = self._content(status, data)
        models = content.get("data") if isinstance(content, dict) else None
        if not isinstance(models, list) or not all(
            isinstance(model, dict) and isinstance(model.get("id"), str) for model in models
        ):
            raise EndpointError(
                self._one_line(f"{self.url} gave a list of models in another form; {self._doubt}{_error_in(content)}")
            )
        return [model["id"] for model in models]

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # ------------------------------------------------------------------ one request

    async def _send(self, method: str, path: str, body: bytes | None) -> tuple[int, str | None, bytes]:
        """Status, the Retry-After header, and the reply's body. ``body`` is JSON."""
        import aiohttp

        try:
            request = self._open_session().request(
                method, self.url + path, data=body, headers=_JSON if body else None, allow_redirects=False
            )
            async with request as response:
                chunks, size = [], 0
                async for chunk in response.content.iter_chunked(2**16):
                    chunks.append(chunk)
                    size += len(chunk)
                    if size > _MAX_REPLY_BYTES:
                        break
                status, retry_after = response.status, response.headers.get("Retry-After")
            problem = f"more than {_MAX_REPLY_BYTES // 2**20} MiB in one reply" if size > _MAX_REPLY_BYTES else ""
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Only its words: aiohttp's errors carry the request, headers and all.
            problem = f"can't be reached: {type(error).__name__}: {error}"
            if isinstance(error, aiohttp.ClientConnectorSSLError):
                problem += "; is it http and not https?"
            if isinstance(error, aiohttp.ClientConnectionError) and {"http", "https", "all"} & getproxies().keys():
                problem += "; proxy variables of the environment are not used"
        if problem:  # out here, so that the error has no context
            raise EndpointError(self._one_line(f"{self.url}: {problem}"))
        return status, retry_after, b"".join(chunks)

    def _open_session(self) -> Any:
        import aiohttp

        if self._session is None:
            key = self.spec.key
            self._session = aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {key.reveal()}"} if key else None,  # in no frame of a traceback
                connector=aiohttp.TCPConnector(limit=0),  # the gate limits
                timeout=aiohttp.ClientTimeout(total=None, connect=30),
            )
        return self._session

    def _content(self, status: int, data: bytes) -> Any:
        """What the reply's JSON says."""
        if status != 200:
            raise self._refusal(status, data)
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            pass
        raise EndpointError(
            self._one_line(f"{self.url} gave a reply that is not JSON; {self._doubt} It says: {_beginning(data)}")
        )

    @property
    def _doubt(self) -> str:
        ending = "" if self.url.endswith("/v1") else f" {self.spec.names.address} usually ends in /v1."
        return f"is it OpenAI-compatible?{ending}"

    def _refusal(self, status: int, data: bytes) -> EndpointError:
        words = "" if status in (401, 403) else self._words(data)  # there a service repeats a part of the key
        names = self.spec.names
        reason = _HINTS.get(status, "").format(**names._asdict())
        if 300 <= status < 400:
            reason = "it redirects elsewhere; give the final address"
        if status in (400, 422) and _UNKNOWN_FIELD.search(words):
            reason = f"a service that knows OpenAI's fields only needs {names.fields}=true"
        parts = [part for part in (reason, words) if part]
        text = f"{self.url} answered {status} for model {self.spec.model}: {'; it says: '.join(parts) or 'no reason'}"
        kind = KeyRefusedError if status == 401 else EndpointError
        return kind(self._one_line(text), about_request=status in (400, 413, 422))

    def _words(self, data: bytes) -> str:
        try:
            content = json.loads(data)
        except (ValueError, RecursionError):
            return _beginning(data)
        return _said(content)

    def _completion(self, content: Any) -> Completion:
        """Reasoning that the server has split off comes first, inside think tags, as servers of our own give it."""
        try:
            choice = content["choices"][0]
            message, finish = choice["message"], choice.get("finish_reason")
            text, reasoning = message.get("content"), message.get("reasoning_content") or message.get("reasoning")
            usage = content.get("usage") or {}
            num_tokens = usage.get("completion_tokens")
        except (LookupError, TypeError, AttributeError):
            raise EndpointError(
                self._one_line(f"{self.url} gave a reply without choices[0].message; {self._doubt}{_error_in(content)}")
            ) from None
        if not isinstance(text, str | None) or not isinstance(reasoning, str | None):
            raise EndpointError(f"{self.url} gave a message whose content is no text")
        text = text or ""
        if reasoning:
            text = f"<think>\n{reasoning}\n</think>\n\n{text}"
        counted = isinstance(num_tokens, int) and not isinstance(num_tokens, bool) and 0 <= num_tokens < 2**31
        reply = Reply(_encodable(text), num_tokens if counted else None)
        return Completion(reply, finish if finish in ("stop", "length") else "")

    def _one_line(self, text: str) -> str:
        return " ".join(self.spec.key.redact(_encodable(text)).split())[: _MAX_WORDS + len(self.url) + 200]


def _encoded(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body).encode()


def _encodable(text: str) -> str:
    """JSON may spell half of a character, which no tokenizer and no file takes."""
    return text.encode("utf-8", "replace").decode()


def _said(content: Any) -> str:
    for key in ("error", "message", "detail"):
        if isinstance(content, dict) and content.get(key):
            content = content[key]
    return str(content)


def _error_in(content: Any) -> str:
    """Of a reply that claims success, as some services have it; but not where it may repeat a part of the key."""
    if not isinstance(content, dict) or not content.get("error") or _OF_THE_KEY.search(said := _said(content)):
        return ""
    return f" It says: {said}"


def _beginning(data: bytes) -> str:
    """Far more than is shown: the key is taken out of the text before it is cut."""
    return data[: 2**16].decode("utf-8", "replace")


def _pause_s(retry_after: str | None, attempt: int) -> float:
    """The server's wish, else twice as long each time; with some jitter, so that not all come back at once."""
    try:
        wished = float(retry_after or "")
    except ValueError:
        wished = 2.0 ** min(attempt - 1, 6)
    if not 0 <= wished <= _MAX_PAUSE_S:  # NaN too
        wished = _MAX_PAUSE_S
    return wished + random.random() * min(1.0, 0.1 + wished / 4)


def wire_messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Chat messages as the protocol has them: opened images (`media.parts.decoded`) become data URLs.

    Raises:
        ConfigError: an item is of a kind that the protocol does not know: video.
    """
    return with_parts(messages, _wire_item)


def _wire_item(item: Mapping[str, Any]) -> dict[str, Any]:
    kind = item["type"]
    if kind == "text":
        return {"type": "text", "text": item["text"]}
    if kind != "image":
        raise ConfigError(
            f"zppo.teacher.base_url: chat completions take text and images, and the data have {kind!r}; give the "
            "teacher accelerators instead, or leave these rows out"
        )
    buffer = io.BytesIO()
    item["image"].save(buffer, "PNG")  # lossless: the pixels that the student sees
    data = base64.b64encode(buffer.getvalue()).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
