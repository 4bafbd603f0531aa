"""A teacher and judge behind HTTP: rollouts, summaries, hints, verdicts, and what happens when it fails."""

import asyncio
import io
import logging
import threading

import pytest
from aiohttp import web
from PIL import Image

from recipe.zppo.candidates import Draft
from recipe.zppo.config.validation import validate_zppo
from recipe.zppo.errors import ConfigError, JudgeError, RewardFunctionError
from recipe.zppo.judge import QUESTION_TEXT, Grade, Judgement, Verdict
from recipe.zppo.preflight.endpoint import check_endpoint
from recipe.zppo.prompts import CLOSER
from recipe.zppo.teacher.client import TeacherClient
from recipe.zppo.teacher.endpoint import EndpointSpec, endpoint_specs
from recipe.zppo.teacher.endpoint_client import TeacherEndpoint
from recipe.zppo.teacher.secret import Secret

from .fake_endpoint import KEY, FakeEndpoint

TEACHER = {"path": "teacher", "nnodes": 1, "response_length": 8, "max_retries": 0, "dead_after_failures": 3}
ROW = {
    "row": 7,
    "prompt_id": "q7",
    "reward_model": {"ground_truth": "a pair"},
    "extra_info": {"answer_type": "free_form"},
    QUESTION_TEXT: "How many?",
}
ASKED = [{"role": "user", "content": "How many?"}]


class Words:
    all_special_tokens = ("<|im_end|>",)

    def encode(self, text, *, add_special_tokens):
        return text.split()

    def decode(self, tokens, *, skip_special_tokens):
        return " ".join(tokens)


class Student:
    """Whose tokens are words, and who finds everything right."""

    def __init__(self):
        self.tokenizer = Words()

    async def grade(self, data, text):
        return Grade(1.0, "4", Judgement(Verdict.CORRECT, 3))


def config(url, judge=(), nodes=(), **teacher):
    judge = {"enable": True, "max_answer_tokens": 50} | dict(judge)
    return validate_zppo({"teacher": TEACHER | {"base_url": url} | teacher, "judge": judge, **dict(nodes)})


def teacher_of(url, seeded=False, key=KEY, judge=(), nodes=(), **changes):
    zppo = config(url, judge, nodes, **changes)
    endpoint = TeacherEndpoint(EndpointSpec(url, "teacher", Secret(key)), zppo, num_workers=1, seeded=seeded)
    return TeacherClient(Student(), endpoint, zppo)


def run(coroutine_of, server, **options):
    async def inside():
        teacher = teacher_of(server.url, **options)
        try:
            return await coroutine_of(teacher)
        finally:
            await teacher.generate.close()

    return asyncio.run(inside())


def answer(body):
    content = body["messages"][0]["content"]
    if isinstance(content, str) and "<reference>" in content:
        return '{"verdict": "correct"}'
    if isinstance(content, str) and content.startswith("Compress"):
        return "<summary>short \\boxed{2}</summary>"
    return "it is \\boxed{2}"


def test_rollouts_are_asked_for_with_the_teachers_sampling():
    with FakeEndpoint(answer, key=KEY) as server:
        answers = run(lambda t: t.solve(ROW, ASKED, [5, 6]), server, seeded=True, temperature=0.7, top_p=0.9, top_k=20)
        assert [(r.text, r.reward, r.num_tokens, r.verdict, r.judge_tokens) for r in answers.rollouts] == [
            ("it is \\boxed{2}", 1.0, 3, "correct", 3)
        ] * 2
        bodies = sorted(server.requests, key=lambda body: body["seed"])
    assert [body["seed"] for body in bodies] == [5, 6]
    for body in bodies:
        assert body["messages"] == [{"role": "user", "content": f"How many?\n\n{CLOSER.text}"}]
        assert (body["temperature"], body["top_p"], body["top_k"], body["max_tokens"]) == (0.7, 0.9, 20, 8)
        assert "chat_template_kwargs" not in body


def test_the_servers_own_defaults_are_not_sampled_with():
    with FakeEndpoint(answer) as server:
        run(lambda t: t.solve(ROW, ASKED, [5]), server)
        (body,) = server.requests
        assert (body["top_k"], body["min_p"], body["repetition_penalty"]) == (-1, 0.0, 1.0)


def test_what_openai_does_not_know_is_not_sent_where_that_is_asked_for():
    with FakeEndpoint(answer) as server:
        run(lambda t: t.solve(ROW, ASKED, [5]), server, openai_fields_only=True)
        run(lambda t: t.judge(ROW, "two"), server, openai_fields_only=True)
        assert len(server.requests) == 2
        for body in server.requests:
            assert body.keys() == {"model", "messages", "stream", "max_tokens", "temperature", "top_p"}


def test_images_of_the_question_are_sent():
    image = Image.new("RGB", (30, 20), "red")
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    content = [{"type": "image", "image": {"bytes": buffer.getvalue()}}, {"type": "text", "text": "How many?"}]
    with FakeEndpoint(answer) as server:
        answers = run(lambda t: t.solve(ROW, [{"role": "user", "content": content}], [5]), server)
        assert not answers.failed, answers.error
        first, second = server.requests[0]["messages"][0]["content"]
    assert first["image_url"]["url"].startswith("data:image/png;base64,")
    assert second == {"type": "text", "text": f"How many?\n\n{CLOSER.text}"}


def test_a_question_without_media_takes_no_detour(monkeypatch):
    """Through a thread the requests of a step would reach a local teacher in batches that depend on time."""

    async def detour(function, *arguments):
        raise AssertionError("a thread")

    with FakeEndpoint(answer) as server:
        monkeypatch.setattr("recipe.zppo.teacher.client.asyncio.to_thread", detour)
        assert len(run(lambda t: t.solve(ROW, ASKED, [5]), server).rollouts) == 1


def test_videos_stop_the_run_with_a_message():
    frame = Image.new("RGB", (30, 20))
    content = [{"type": "video", "video": [frame, frame]}, {"type": "text", "text": "How many?"}]
    message = "chat completions take text and images, and the data have 'video'"
    with FakeEndpoint(answer) as server, pytest.raises(ConfigError, match=message):
        run(lambda t: t.solve(ROW, [{"role": "user", "content": content}], [5]), server)


def test_summaries_and_hints():
    draft = Draft("it is long \\boxed{2}", "student", 0, False)
    with FakeEndpoint(answer) as server:
        candidate = run(lambda t: t.compress(draft, 1, True), server)
        assert (candidate.text, candidate.compression) == ("short \\boxed{2}", "teacher")
        assert candidate.teacher_tokens == 2
        assert server.requests[-1]["chat_template_kwargs"] == {"enable_thinking": False}
    with FakeEndpoint(lambda body: "count them") as server:
        assert run(lambda t: t.write_hint(ROW, draft, 1), server).text == "count them"


def test_a_teacher_that_may_think_first_and_does_not_come_to_an_end():
    draft = Draft("it is long", "student", 0, False)
    thoughts = "a summary goes in <summary>...</summary> or <summary>so</summary>, and"
    with FakeEndpoint(lambda body: thoughts) as server:
        thinking = {"compression": {"thinking": True, "max_tokens": len(thoughts.split())}}
        assert run(lambda t: t.compress(draft, 1, True), server, nodes=thinking).compression == "tail:no_summary"
        assert run(lambda t: t.write_hint(ROW, draft, 1), server, nodes=thinking).problem == "failed"
        assert "chat_template_kwargs" not in server.requests[-1]


def test_a_summary_that_can_not_be_read_is_a_failed_one():
    """Whatever goes wrong after the reply, the run goes on."""
    draft = Draft("it is long \\boxed{2}", "student", 0, False)

    class Fails(Words):
        def encode(self, text, *, add_special_tokens):
            if text.startswith("short"):
                raise TypeError("not a text")
            return super().encode(text, add_special_tokens=add_special_tokens)

    def spoilt(teacher):
        teacher.student.tokenizer = Fails()
        return teacher.compress(draft, 1, True)

    with FakeEndpoint(answer) as server:
        assert run(spoilt, server).compression == "tail:request_failed"


def test_a_verdict():
    with FakeEndpoint(answer, key=KEY) as server:
        judgement = run(lambda t: t.judge(ROW, "<think>hm</think> so \\boxed{two of them}"), server)
        assert judgement == Judgement(Verdict.CORRECT, 2) and judgement.reward == 1.0
        (body,) = server.requests
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.0, 1.0, 512)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    text = body["messages"][0]["content"]
    assert "<question>\nHow many?\n</question>" in text and "<reference>\na pair\n</reference>" in text
    assert "<response>\ntwo of them\n</response>" in text and "hm" not in text.partition("<response>\n")[2]


def test_a_verdict_by_a_template_of_ones_own_on_the_end_of_the_whole_response(tmp_path):
    (tmp_path / "own.txt").write_text("\ufeffIs {response} {gold}? {question} {options}\n", encoding="utf-8")
    judge = {"template": str(tmp_path / "own.txt"), "response": "whole", "max_answer_tokens": 3}
    row = ROW | {"extra_info": {"options": ["one", "two"]}}
    with FakeEndpoint(answer) as server:
        run(lambda t: t.judge(row, "I think that it is \\boxed{two}"), server, judge=judge)
        (body,) = server.requests
    assert body["messages"][0]["content"] == "Is it is \\boxed{two} a pair? How many? A. one\nB. two"


@pytest.mark.parametrize("reply", ["yes", '```{"verdict": "correct"}```', '{"verdict": "right"}', ""])
def test_a_malformed_verdict_is_wrong_and_is_known_as_malformed(reply):
    with FakeEndpoint(lambda body: reply) as server:
        judgement = run(lambda t: t.judge(ROW, "two"), server)
    assert judgement.verdict is Verdict.MALFORMED and judgement.reward == 0.0


def test_verdicts_are_not_kept():
    replies = iter(['{"verdict": "wrong"}', '{"verdict": "correct"}'])
    with FakeEndpoint(lambda body: next(replies)) as server:

        async def twice(teacher):
            return [(await teacher.judge(ROW, "two")).verdict for _ in range(2)]

        assert run(twice, server) == ["wrong", "correct"]


def test_a_judge_that_gives_no_verdict_is_an_error_never_a_zero():
    refusals = [
        lambda body: web.Response(status=500, text="out of memory"),
        lambda body: web.Response(status=400, text="too long"),
        lambda body: web.Response(text="<html>"),
    ]
    for refusal in refusals:
        with FakeEndpoint(refusal) as server, pytest.raises(JudgeError, match="no verdict on row 7: EndpointError"):
            run(lambda t: t.judge(ROW, "two"), server)


def test_a_failed_request_is_tried_again():
    replies = iter([web.Response(status=502), '{"verdict": "correct"}'])
    with FakeEndpoint(lambda body: next(replies)) as server:
        assert run(lambda t: t.judge(ROW, "two"), server, max_retries=1).verdict is Verdict.CORRECT


def test_a_dead_endpoint_is_left_alone_and_a_bad_request_is_not_its_fault():
    async def many(teacher):
        return await asyncio.gather(*(teacher.judge(ROW, "two") for _ in range(12)), return_exceptions=True)

    with FakeEndpoint(lambda body: web.Response(status=500)) as server:
        errors = run(many, server, max_concurrent_requests=1)
        assert len(server.requests) == 3
        assert all(isinstance(error, JudgeError) for error in errors)
        assert "TeacherDownError: the teacher failed 3 times in a row" in str(errors[-1])
    with FakeEndpoint(lambda body: web.Response(status=400)) as server:
        run(many, server, max_concurrent_requests=1)
        assert len(server.requests) == 12


def test_requests_in_flight_are_limited():
    async def many(teacher):
        return await asyncio.gather(*(teacher.judge(ROW, "two") for _ in range(20)))

    with FakeEndpoint(answer) as server:
        server.delay_s = 0.02
        run(many, server, max_concurrent_requests=3)
        assert server.most_running <= 3 and len(server.requests) == 20


def test_a_gold_answer_that_is_no_text_names_its_row():
    with FakeEndpoint(answer) as server, pytest.raises(RewardFunctionError, match="row 7 can't be judged"):
        run(lambda t: t.judge(ROW | {"reward_model": {"ground_truth": {"a": 1}}}, "two"), server)


def test_options_that_are_none_name_their_row():
    row = ROW | {"extra_info": {"options": "A or B"}}
    with FakeEndpoint(answer) as server, pytest.raises(RewardFunctionError, match=r"row 7 can't be judged: .*options"):
        run(lambda t: t.judge(row, "two"), server)


def test_rollouts_without_verdict_are_counted_as_such():
    with FakeEndpoint(answer) as server:

        async def solve(teacher):
            async def grade(data, text):
                return Grade(0.0, "", await teacher.judge(data, text))

            teacher.student.grade = grade
            return await teacher.solve(ROW, ASKED, [1, 2])

        server.answer = lambda body: answer(body) if "<reference>" not in str(body) else web.Response(status=500)
        answers = run(solve, server)
    assert (answers.rollouts, answers.failed, answers.unjudged) == ((), 2, 2)
    assert answers.error.startswith("JudgeError: no verdict on row 7")


def test_the_key_is_in_no_log_and_no_error(caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("ZPPO_TEACHER_API_KEY", KEY)

    def nosy(body):
        return web.json_response({"error": {"message": f"you sent {KEY}"}}, status=500)

    with FakeEndpoint(nosy, key=KEY) as server:
        answers = run(lambda t: t.solve(ROW, ASKED, [1]), server)
        zppo = config(server.url)
        assert KEY not in repr(zppo) and KEY not in repr(endpoint_specs(zppo))
        check_endpoint(zppo)
    assert "you sent ***" in answers.error
    assert KEY not in answers.error and KEY not in caplog.text


# ---- before the run


def refused(url, models=("teacher",), limit_s=5.0, **changes):
    with pytest.raises(ConfigError) as caught:
        check_endpoint(config(url, **changes), limit_s)
    message = str(caught.value)
    assert "\n" not in message and message.startswith("zppo.teacher.")
    return message


def test_the_endpoint_is_checked_before_the_run(monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    with FakeEndpoint(answer, models=("teacher", "b"), key=KEY) as server:
        check_endpoint(config(server.url, api_key_env="MY_KEY"))
        check_endpoint(config(server.url, api_key_env="MY_KEY", more=["b"]))
        message = refused(server.url, api_key_env="MY_KEY", more=["c"])
        assert message.startswith("zppo.teacher.more: ") and message.endswith("named c; it serves teacher, b")
        message = refused(server.url, api_key_env="MY_KEY", path="Qwen")
        assert message.startswith("zppo.teacher.path: ") and "does not serve a model named Qwen" in message
        assert "401" in refused(server.url) and "zppo.teacher.api_key_env" in refused(server.url)
        assert "404" in refused(server.url.removesuffix("/v1"), api_key_env="MY_KEY")
        assert not server.requests
    assert "can't be reached" in refused(server.url)


def test_a_silent_endpoint_is_not_waited_for():
    async def silent(reader, writer):
        await asyncio.sleep(30)

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(silent, "127.0.0.1", 0), loop).result(5)
    port = server.sockets[0].getsockname()[1]
    assert "no list of models within 0.2 s" in refused(f"http://127.0.0.1:{port}/v1", limit_s=0.2)
    loop.call_soon_threadsafe(loop.stop)


def test_a_list_in_another_form():
    with FakeEndpoint(answer) as server:
        server.models = (None,)
        assert "is it OpenAI-compatible" in refused(server.url)


def test_without_anybody_to_ask_it_the_endpoint_is_not_looked_at():
    node = {"teacher": TEACHER | {"base_url": "http://127.0.0.1:9/v1"}, "reformulation": {"enable": False}}
    check_endpoint(validate_zppo(node))
