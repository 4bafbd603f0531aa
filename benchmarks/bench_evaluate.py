"""What the evaluation itself costs: beside an engine that answers at a fixed rate, and in memory over many pictures.

    python -m benchmarks.bench_evaluate [--requests 3000] [--rate 50] [--rows 100000] [--kilobytes 100]

Time: a server in a process of its own answers so many requests a second, each with 12,288 tokens (some 50 kB of text).
Overhead is what the evaluation takes beyond the server's own time, from start to `results.json`; beside it the
processor's seconds of a request, loading, prompt, scoring and writing included. Once with questions of text, once with
pictures within the protocol's limits, which travel as they are, once with pictures that have to be made smaller.

Memory: so many rows, each with a picture of so many kB, read from parquet files, put into requests and scored, by an
engine that answers at once. Peak is that of the whole process; what the process has before it begins is said, too.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets  # noqa: F401
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from aiohttp import web
from PIL import Image
from rich.console import Console
from rich.table import Table

from recipe.zppo.benchmarks.contract import Benchmark, Decision, Family, Question, Row, Scoring, Source
from recipe.zppo.evaluate.engines.contract import Answer
from recipe.zppo.evaluate.engines.wire import wire_messages
from recipe.zppo.evaluate.evaluation import Evaluation
from recipe.zppo.evaluate.progress import Progress
from recipe.zppo.evaluate.protocol import Decoding
from recipe.zppo.evaluate.settings import EvaluateSettings
from recipe.zppo.prompts import Messages
from recipe.zppo.reward import extract_answer

TOKENS = 12_288
RESPONSE = "<think>\n" + "so it is " * (4 * TOKENS // 9) + "\n</think>\n\\boxed{4}"
SIZES = {"text": None, "pictures": (1024, 768), "large pictures": (2048, 1536)}


def questions(row: Row, part: str | None, place: int) -> Iterator[Question]:
    text = {"type": "text", "text": "How many are there? " * 20}
    picture = [{"type": "image", "image": row["image"]}] if row["image"] else []
    yield Question(row["id"], [{"role": "user", "content": [*picture, text]}], "4")


def decide(question: Question, response: str) -> Decision:
    answer = extract_answer(response)
    return Decision(float(answer == question.gold), answer or "")


BENCHMARK = Benchmark("Bench", "", Family.VLM, Scoring.EXACT_JUDGE, Source("bench/set", "test"), questions, decide)


def picture(size: tuple[int, int], number: int = 0, kilobytes: float | None = None) -> bytes:
    """A JPEG; of noise, so that it has about so many kB where that is asked for."""
    draws = np.random.default_rng(number)
    pixels = draws.integers(0, 256, (size[1] // 16, size[0] // 16, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize(size)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    data = buffer.getvalue()
    return data + b"\0" * max(0, int((kilobytes or 0) * 1000) - len(data))


def write_rows(folder: Path, images: Sequence[bytes | None], rows: int, *, a_file: int = 1000) -> None:
    """Shards as the hub has them, with row groups of 100."""
    folder = folder / BENCHMARK.source.dataset
    folder.mkdir(parents=True)
    schema = pa.schema({"id": pa.string(), "image": pa.struct({"bytes": pa.binary(), "path": pa.string()})})
    for first in range(0, rows, a_file):
        content = [
            {
                "id": str(i),
                "image": None if (image := images[i % len(images)]) is None else {"bytes": image, "path": None},
            }
            for i in range(first, min(rows, first + a_file))
        ]
        pq.write_table(
            pa.Table.from_pylist(content, schema), folder / f"test-{first // a_file:05}.parquet", row_group_size=100
        )


# ---------------------------------------------------------------------- a server at a fixed rate


def serve(rate: float, port: Any) -> None:
    async def main() -> None:
        turn = 0.0
        choice = {"message": {"role": "assistant", "content": RESPONSE}, "finish_reason": "stop"}
        reply = {"choices": [choice], "usage": {"completion_tokens": TOKENS}}
        body = web.json_response(reply).body

        async def chat(request: web.Request) -> web.Response:
            nonlocal turn
            await request.read()
            turn = max(turn + 1 / rate, time.monotonic())
            await asyncio.sleep(turn - time.monotonic())
            return web.Response(body=body, content_type="application/json")

        async def models(request: web.Request) -> web.Response:
            return web.json_response({"data": [{"id": "model"}]})

        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/chat/completions", chat)
        app.router.add_get("/v1/models", models)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port.put(site._server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()

    asyncio.run(main())


def evaluation(folder: Path, out: str, server: str) -> Evaluation:
    settings = EvaluateSettings(
        model=("model",), server=server, judge=None, data=str(folder), out=str(folder / out), in_flight=256
    )
    return Evaluation(settings, [BENCHMARK], Progress(Console(quiet=True)))


def time_of(size: tuple[int, int] | None, requests: int, rate: float) -> tuple[float, float]:
    """Share of time beyond the server's own, and processor's seconds a request."""
    port = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(rate, port), daemon=True)
    server.start()
    address = f"http://127.0.0.1:{port.get()}/v1"
    try:
        with tempfile.TemporaryDirectory() as folder:
            images = [None] if size is None else [picture(size, number) for number in range(8)]
            write_rows(Path(folder), images, requests)
            before, began = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
            asyncio.run(evaluation(Path(folder), "out", address).run())
            seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    finally:
        server.kill()
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds / (requests / rate) - 1, processor / requests


# ---------------------------------------------------------------------- many pictures


class AtOnce:
    """Answers as soon as the request would have gone out."""

    async def ask(self, messages: Messages, decoding: Decoding, seed: int, *, thinking: bool = True) -> Answer:
        await asyncio.to_thread(wire_messages, messages)
        return Answer(RESPONSE[-2000:], TOKENS, "stop")

    async def close(self) -> None: ...


def memory_of(rows: int, kilobytes: float, results: Any) -> None:
    """In a process of its own; MB before, at most, and seconds."""
    from contextlib import asynccontextmanager

    with tempfile.TemporaryDirectory() as folder:
        writer = multiprocessing.Process(
            target=write_rows, args=(Path(folder), [picture((1024, 768), n, kilobytes) for n in range(8)], rows)
        )
        writer.start()
        writer.join()
        evaluated = evaluation(Path(folder), "out", "http://unused/v1")

        @asynccontextmanager
        async def student(model: Any) -> Any:
            yield AtOnce()

        evaluated._student = student  # type: ignore[method-assign]
        before, began = psutil.Process().memory_info().rss, time.monotonic()
        asyncio.run(evaluated.run())
        seconds = time.monotonic() - began
        assert evaluated.models[0].results.benchmarks["Bench"].answered == rows
    results.put((before / 1e6, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, seconds))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--rate", type=float, default=50.0, help="answers a second")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--kilobytes", type=float, default=100.0, help="of a picture")
    chosen = parser.parse_args(arguments)
    console = Console()
    table = Table(title=f"{chosen.requests} requests, {chosen.rate:g} answers a second")
    for column in ("questions", "overhead", "processor, ms a request", "of one core"):
        table.add_column(column, justify="right")
    for name, size in SIZES.items():
        share, processor = time_of(size, chosen.requests, chosen.rate)
        table.add_row(name, f"{share:.2%}", f"{1000 * processor:.2f}", f"{processor * chosen.rate:.1%}")
    console.print(table)
    results = multiprocessing.get_context("spawn").Queue()
    process = multiprocessing.get_context("spawn").Process(
        target=memory_of, args=(chosen.rows, chosen.kilobytes, results)
    )
    process.start()
    before, peak, seconds = results.get()
    process.join()
    console.print(
        f"{chosen.rows} rows with pictures of {chosen.kilobytes:g} kB: {before:.0f} MB before, {peak:.0f} MB at most, "
        f"{seconds:.0f} s, {1000 * seconds / chosen.rows:.2f} ms a row"
    )


if __name__ == "__main__":
    main()
