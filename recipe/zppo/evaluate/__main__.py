"""``python -m recipe.zppo.evaluate model=PATH [key=value ...]``: the paper's benchmarks under its one protocol."""

import asyncio
import signal
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

from recipe.zppo.config.ending import command

USAGE = """python -m recipe.zppo.evaluate model=PATH [benchmarks=[vlm,llm,video]] [data=FOLDER] [key=value ...]

Asks the model every question of the paper's benchmarks under its one protocol, and scores the answers: by rule or
metric first, by the judge what that leaves open. Writes OUT/<model>/results.json, a JSONL line a question, table.md,
table.csv and a plot. Stopped or killed, the same command goes on where it was. Exit status: 0 all benchmarks have a
score, 1 some have none, 2 it can't work, 130 interrupted, by Ctrl-C or SIGTERM."""


@command("zppo")
def main(arguments: Sequence[str] | None = None) -> int:
    from recipe.zppo.benchmarks.registry import select  # within: Ctrl-C may come while this is imported
    from recipe.zppo.data.settings import read_settings
    from recipe.zppo.evaluate.evaluation import Evaluation
    from recipe.zppo.evaluate.paper import paper_rows_for
    from recipe.zppo.evaluate.report import write_report
    from recipe.zppo.evaluate.settings import EvaluateSettings
    from recipe.zppo.evaluate.tally import unanswered

    settings = read_settings(EvaluateSettings, sys.argv[1:] if arguments is None else arguments, USAGE)
    benchmarks = select(settings.benchmarks)
    rows = paper_rows_for(settings.model, settings.paper)
    evaluation = Evaluation(settings, benchmarks)
    evaluation.load()
    try:
        asyncio.run(_until_told_to_end(evaluation.run()))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        results = [model.results for model in evaluation.models]
        if any(each.benchmarks for each in results):
            for path in write_report(evaluation.out, results, rows):
                print(path)
    names = [benchmark.name for benchmark in benchmarks]
    if left := [f"{each.model}: {text}" for each in results if (text := unanswered(each, names))]:
        print(f"zppo: unanswered, in no score: {'; '.join(left)}; ask_unanswered=true asks again", file=sys.stderr)
    missing = [f"{each.model}: {name}" for each in results for name in names if name not in each.scores()]
    if missing:
        print(f"zppo: no score: {'; '.join(missing)}", file=sys.stderr)
    return 1 if missing else 0


async def _until_told_to_end(work: Coroutine[Any, Any, None]) -> None:
    """SIGTERM, which batch systems send, ends it as Ctrl-C does."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await work


if __name__ == "__main__":
    sys.exit(main())
