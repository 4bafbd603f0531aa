"""The HTTP client of an OpenAI-compatible endpoint, on a real server; and that the key is shown nowhere."""

import asyncio
import base64
import io
import logging
import pickle
import socket
import time
import traceback

import pytest
from aiohttp import web
from PIL import Image

from recipe.zppo.media.parts import decoded
from recipe.zppo.teacher.endpoint import Endpoint, EndpointError, EndpointSpec, wire_messages
from recipe.zppo.teacher.secret import Secret

from .fake_endpoint import KEY, FakeEndpoint, completion

ASKED = [{"role": "user", "content": "2+2?"}]


def call(url, *, key=KEY, model="teacher", limit_s=10.0, method="chat", **parameters):
    async def run():
        endpoint = Endpoint(EndpointSpec(url, model, Secret(key)))
        try:
            async with asyncio.timeout(limit_s):
                if method == "models":
                    return await endpoint.list_models()
                return await endpoint.chat(ASKED, **parameters)
        finally:
            await endpoint.close()

    return asyncio.run(run())


def reply_to(answer, **options):
    with FakeEndpoint(lambda body: web.json_response(answer)) as server:
        return call(server.url, **options)


def failure(answer, **options):
    with FakeEndpoint(answer) as server, pytest.raises(EndpointError) as caught:
        call(server.url, **options)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 700
    assert KEY not in message and KEY[:12] not in message
    return caught.value


def test_a_completion():
    with FakeEndpoint(lambda body: "4 is it", key=KEY) as server:
        reply = call(server.url + "/", temperature=0.5, max_tokens=7)
        assert (reply.text, reply.num_tokens) == ("4 is it", 3)
        (body,) = server.requests
    assert body == {
        "model": "teacher",
        "messages": ASKED,
        "stream": False,
        "temperature": 0.5,
        "max_tokens": 7,
    }


def test_reasoning_that_the_server_splits_off_comes_back_as_servers_of_our_own_give_it():
    for name in ("reasoning_content", "reasoning"):
        assert reply_to(completion("4", **{name: "two and two"})).text == "<think>\ntwo and two\n</think>\n\n4"


def test_half_a_character_reaches_nobody():
    """JSON may spell it; no tokenizer takes it, and no file."""
    assert reply_to(completion("4 \ud83d", reasoning="\ude00")).text == "<think>\n?\n</think>\n\n4 ?"
    with FakeEndpoint(lambda body: web.json_response({"error": "\ud83d"}, status=500)) as server:
        with pytest.raises(EndpointError) as error:
            call(server.url)
        str(error.value).encode()


def test_a_reply_without_content_is_an_empty_text():
    reply = reply_to(completion(None, tokens=9))
    assert (reply.text, reply.num_tokens) == ("", 9)


@pytest.mark.parametrize("tokens", ["many", -1, True, 1.5, 10**400])
def test_a_count_of_tokens_that_is_none_is_unknown(tokens):
    assert reply_to(completion("4", tokens=tokens)).num_tokens is None


@pytest.mark.parametrize(
    "reply",
    [
        web.json_response,
        lambda content: web.Response(text="<html>\nlogin\n</html>"),
        lambda content: web.Response(body=b"\xff\xfe{"),
        lambda content: web.Response(text="[" * 100_000),
        lambda content: web.Response(text=""),
    ],
)
def test_a_malformed_reply_is_the_servers_failure(reply):
    for content in ({}, {"choices": []}, {"choices": [{}]}, [], "x", {"choices": [{"message": {"content": [1]}}]}):
        error = failure(lambda body, content=content: reply(content))
        assert not error.about_request


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ({"message": "the provider is overloaded", "code": 502}, " It says: the provider is overloaded"),
        ("Unexpected endpoint", " It says: Unexpected endpoint"),
        ({"message": f"Incorrect API key provided: {KEY[:20]}", "code": 401}, ""),
    ],
)
def test_an_error_that_comes_as_a_success_is_said(error, said):
    found = failure(lambda body: web.json_response({"error": error}))
    assert str(found).endswith(f"/v1 gave a reply without choices[0].message; is it OpenAI-compatible?{said}")


def test_an_address_without_its_end_is_said_to_lack_it():
    """As that of a page for people, which answers whatever is asked."""

    async def page(reader, writer):
        await reader.read(100)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")

    async def ask(scheme):
        async with await asyncio.start_server(page, "127.0.0.1", 0) as server:
            endpoint = Endpoint(
                EndpointSpec(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}", "x", Secret())
            )
            try:
                with pytest.raises(EndpointError) as caught:
                    await endpoint.list_models()
            finally:
                await endpoint.close()
        return str(caught.value)

    assert asyncio.run(ask("http")).endswith(
        " not JSON; is it OpenAI-compatible? zppo.teacher.base_url usually ends in /v1. It says: <html>"
    )
    assert "; is it http and not https?" in asyncio.run(ask("https"))


def test_a_reply_without_end_is_given_up():
    error = failure(lambda body: web.Response(body=b"x" * (65 * 2**20)), limit_s=60)
    assert "more than 64 MiB" in str(error)


@pytest.mark.parametrize(
    ("status", "says", "about_request"),
    [
        (401, "the key is missing or not accepted", False),
        (403, "the key has no right", False),
        (404, "zppo.teacher.path is the served model's name", False),
        (400, "it is too long", True),
        (413, "it is too long", True),
        (422, "it is too long", True),
        (500, "it is too long", False),
        (503, "it is too long", False),
    ],
)
def test_a_refusal_says_what_to_do(status, says, about_request):
    words = f"it is too long\nby {KEY} " + "x" * 10_000
    error = failure(lambda body: web.json_response({"error": {"message": words}}, status=status))
    assert f"answered {status}" in str(error) and says in str(error)
    assert error.about_request is about_request
    plain = failure(lambda body: web.Response(text="x" * 270 + KEY * 5, status=status))  # cut in the middle of a key
    assert plain.about_request is about_request


def test_a_service_that_knows_openais_fields_only():
    words = "Unrecognized request argument supplied: chat_template_kwargs"
    error = failure(lambda body: web.json_response({"error": {"message": words}}, status=400))
    assert "needs zppo.teacher.openai_fields_only=true; it says: Unrecognized" in str(error)


def test_a_wrong_key_is_not_repeated():
    with FakeEndpoint(lambda body: "4", key="another") as server, pytest.raises(EndpointError) as caught:
        call(server.url)
    assert "401" in str(caught.value) and KEY not in str(caught.value) and "Incorrect" not in str(caught.value)


def test_an_unknown_model():
    with FakeEndpoint(lambda body: "4") as server, pytest.raises(EndpointError, match="404 for model other"):
        call(server.url, model="other")


def test_redirects_are_not_followed():
    moved = web.Response(status=307, headers={"Location": "http://127.0.0.1:9/steal"})
    assert "redirects elsewhere" in str(failure(lambda body: moved))


def test_connection_refused():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
    with pytest.raises(EndpointError, match="can't be reached: Client") as caught:
        call(url)
    assert "\n" not in str(caught.value) and not caught.value.about_request
    assert caught.value.__context__ is None and caught.value.__cause__ is None  # aiohttp's error carries the headers


def test_a_hanging_server_is_left_when_the_caller_gives_up():
    with FakeEndpoint(lambda body: "4") as server:
        server.delay_s = 30.0
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            call(server.url, limit_s=0.2)
        assert time.monotonic() - started < 5


def test_a_server_that_asks_to_slow_down_is_asked_again():
    busy = iter([True, True, False])

    def answer(body):
        return web.Response(status=429, headers={"Retry-After": "0.01"}) if next(busy) else "4"

    with FakeEndpoint(answer) as server:
        assert call(server.url).text == "4"
        assert len(server.requests) == 3


def test_the_list_of_models():
    with FakeEndpoint(lambda body: "", models=("a", "b"), key=KEY) as server:
        assert call(server.url, method="models") == ["a", "b"]
        with pytest.raises(EndpointError, match="401"):
            call(server.url, method="models", key="wrong")


def test_requests_go_out_at_once():
    async def run(url):
        endpoint = Endpoint(EndpointSpec(url, "teacher", Secret(KEY)))
        try:
            return await asyncio.gather(*(endpoint.chat(ASKED) for _ in range(150)))
        finally:
            await endpoint.close()

    with FakeEndpoint(lambda body: "4") as server:
        server.delay_s = 0.5
        assert len(asyncio.run(run(server.url))) == 150
        assert server.most_running > 100  # aiohttp's own limit


def test_the_key_is_shown_nowhere(caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("asyncio").setLevel(logging.DEBUG)
    spec = EndpointSpec("http://127.0.0.1:9/v1", "teacher", Secret(KEY))
    endpoint = Endpoint(spec)
    for shown in (repr(spec), str(spec), f"{spec.key}", repr(vars(endpoint)), f"{spec.key!r:>40}"):
        assert KEY not in shown
    with pytest.raises(EndpointError) as caught:
        asyncio.run(endpoint.chat(ASKED))
    with_locals = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert KEY not in repr(caught.value) and KEY not in caplog.text and KEY not in "".join(with_locals.format())
    assert pickle.loads(pickle.dumps(spec)).key.reveal() == KEY  # it does travel
    error = pickle.loads(pickle.dumps(EndpointError("x", True)))
    assert (str(error), error.about_request) == ("x", True)


def test_a_key_with_a_line_break_at_its_end_is_the_key_without(monkeypatch):
    monkeypatch.setenv("SOME_KEY", KEY + "\n")
    assert Secret.from_environment("SOME_KEY").reveal() == KEY
    assert not Secret.from_environment("NO_SUCH_KEY")


def test_nothing_of_the_environment_is_used(monkeypatch, tmp_path):
    """Which is said where the address can't be reached without a proxy."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("NO_PROXY", "")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with FakeEndpoint(lambda body: "4") as server:
        assert call(server.url, key="").text == "4"
        assert "Authorization" not in server.headers[0]
    with pytest.raises(EndpointError, match=r"can't be reached: .*; proxy variables of the environment are not used$"):
        call(server.url)


# ---- messages


def test_images_are_sent_with_all_their_pixels():
    image = Image.effect_noise((17, 9), 80).convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG")
    items = [
        {"type": "text", "text": "look"},
        {"type": "image", "image": image},
        {"type": "image", "image": buffer.getvalue()},
    ]
    messages = [{"role": "system", "content": "short"}, {"role": "user", "content": items}]
    system, message = wire_messages(decoded(messages))
    assert system == messages[0] and message["role"] == "user" and message["content"][0] == items[0]
    for item, source in zip(message["content"][1:], (image, Image.open(buffer)), strict=True):
        kind, _, data = item["image_url"]["url"].partition(";base64,")
        sent = Image.open(io.BytesIO(base64.b64decode(data)))
        assert (kind, sent.size, sent.tobytes()) == ("data:image/png", source.size, source.tobytes())
    assert items[1]["type"] == "image"  # the input stays
