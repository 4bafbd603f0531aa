"""All benchmarks of a call, one model after the other, over engines that are up as long as they are needed."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from filelock import Timeout

from recipe.zppo.benchmarks.contract import Benchmark, Scoring
from recipe.zppo.benchmarks.loading import Questions
from recipe.zppo.errors import ConfigError, DataError, RolloutError, ZPPOError
from recipe.zppo.evaluate.engines.contract import Engine
from recipe.zppo.evaluate.engines.vllm import VLLMSettings, check_vllm
from recipe.zppo.evaluate.log import QuestionLog
from recipe.zppo.evaluate.models import Model, names_of, open_model
from recipe.zppo.evaluate.progress import Progress
from recipe.zppo.evaluate.protocol import of_settings
from recipe.zppo.evaluate.results import BenchmarkResult, questions_file
from recipe.zppo.evaluate.runner import Limits, Runner
from recipe.zppo.evaluate.settings import SAME, EvaluateSettings
from recipe.zppo.evaluate.tally import failed, is_pending, result
from recipe.zppo.run.file_lock import lock_held
from recipe.zppo.teacher.endpoint import EndpointSpec, SettingNames
from recipe.zppo.teacher.secret import Secret

LOCK = "evaluate.lock"


class Evaluation:
    """`await run()` asks what is still to be asked; `models` then have their results. `load()` may come before.

    Raises:
        ConfigError: settings that can't work, see `open_model`; or another evaluation works in the folder.
    """

    def __init__(self, settings: EvaluateSettings, benchmarks: Sequence[Benchmark], progress: Progress | None = None):
        self.settings, self.benchmarks = settings, list(benchmarks)
        self.progress = progress or Progress()
        self._protocol = of_settings(
            settings.max_tokens, judge_sees=settings.judge_sees, openai_fields_only=settings.openai_fields_only
        )
        self._limits = Limits(in_flight=settings.in_flight, timeout_s=settings.timeout_s, retries=settings.retries)
        self._loaded: dict[str, Questions | str] = {}
        if settings.data is not None and not Path(settings.data).expanduser().is_dir():
            raise ConfigError(f"data: there is no folder {settings.data}; null takes the hub")
        self.out = Path(settings.out).expanduser()
        self.models = [
            open_model(name, path, settings, self._protocol) for name, path in names_of(settings.model).items()
        ]
        self._reopened = {
            (model.name, name)
            for model in self.models
            for name, found in model.results.benchmarks.items()
            if settings.ask_unanswered and found.unanswered
        }

    def load(self) -> None:
        """Find the questions, which may be downloaded: Ctrl-C ends that at once, in `run` it waits for the event loop.

        Raises:
            ConfigError: an engine can't be started.
        """
        self._check_engines()
        for model in self.models:
            for benchmark in self._todo(model):
                self._questions(benchmark)

    async def run(self) -> None:
        """
        Raises:
            ConfigError: an engine can't be started.
            RolloutError: an engine answers nothing any more. The same command goes on.
        """
        self._check_engines()
        self.out.mkdir(parents=True, exist_ok=True)
        try:
            lock = lock_held(self.out / LOCK, self.progress.say)
        except Timeout:
            raise ConfigError(
                f"out: another evaluation works in {self.out}; wait for it, or give another out"
            ) from None
        with lock:
            expected = sum(self._expected(benchmark) for model in self.models for benchmark in self._todo(model))
            with self.progress.all(expected):
                for model in self.models:
                    async with AsyncExitStack() as stack:
                        student = judge = None
                        if self._can_ask(model):
                            student = await stack.enter_async_context(self._student(model))
                            judge = await stack.enter_async_context(self._judge_beside(student))
                            model.save()  # from now on its settings hold
                        await self._all(model, student, judge)
                if self._judge_is_later and any(self._can_ask(model) for model in self.models):
                    async with self._started(str(self.settings.judge), self.out / "judge.log") as judge:
                        for model in self.models:
                            await self._all(model, None, judge)

    # ------------------------------------------------------------------ a benchmark

    async def _all(self, model: Model, student: Engine | None, judge: Engine | None) -> None:
        for benchmark in self._todo(model):
            found = await self._one(model, benchmark, student, judge)
            if found is None:
                continue
            self._reopened.discard((model.name, benchmark.name))
            if found.score is not None or benchmark.name not in model.results.scores():
                model.results.benchmarks[benchmark.name] = found
                model.save()
            self.progress.say(f"{model.name}, {benchmark.name}: {_said(found)}")

    async def _one(
        self, model: Model, benchmark: Benchmark, student: Engine | None, judge: Engine | None
    ) -> BenchmarkResult | None:
        """None: the judge is still to come."""
        questions = self._questions(benchmark)
        if isinstance(questions, str):
            return failed(benchmark, questions)
        settings = self.settings
        later = judge is None and self._judge_is_later
        runner = Runner(
            student, judge, self._protocol, self._limits, seed=settings.seed, samples=settings.samples, later=later
        )
        expected = questions.expected * settings.samples
        try:
            with (
                QuestionLog(questions_file(model.folder, benchmark.name)) as log,
                self.progress.one(f"{model.name} {benchmark.name}", expected) as step,
            ):
                asked = await runner.run(questions, log, step)
                if is_pending(log, asked):
                    return None
                log.put_in_order(asked.keys)
                return result(benchmark, asked, log, settings.samples)
        except (DataError, ConfigError) as error:
            return failed(benchmark, str(error))
        except RolloutError as error:
            raise RolloutError(f"{benchmark.name}: {error}; the same command goes on from here") from error

    def _todo(self, model: Model) -> list[Benchmark]:
        """Those without a score, and those to be asked again. One that failed is tried again."""
        done = {name for name in model.results.scores() if (model.name, name) not in self._reopened}
        return [benchmark for benchmark in self.benchmarks if benchmark.name not in done]

    def _can_ask(self, model: Model) -> bool:
        return any(not isinstance(self._questions(benchmark), str) for benchmark in self._todo(model))

    def _expected(self, benchmark: Benchmark) -> int:
        questions = self._questions(benchmark)
        return 0 if isinstance(questions, str) else questions.expected * self.settings.samples

    def _questions(self, benchmark: Benchmark) -> Questions | str:
        """Found once for all models; or why there are none."""
        if benchmark.name not in self._loaded:
            self._loaded[benchmark.name] = self._load(benchmark)
        return self._loaded[benchmark.name]

    def _load(self, benchmark: Benchmark) -> Questions | str:
        settings = self.settings
        if settings.judge is None and benchmark.scoring is Scoring.BENCHMARK_JUDGE and benchmark.decide is None:
            return f"{benchmark.name} is scored by a judge alone, and judge=null"
        try:
            if benchmark.check is not None:
                benchmark.check()
            return Questions(benchmark, settings.data, limit=settings.limit, seed=settings.seed)
        except ZPPOError as error:
            return str(error)

    # ------------------------------------------------------------------ engines

    def _check_engines(self) -> None:
        if self._judge_is_later or (self.settings.engine == "vllm" and not self.settings.server):
            check_vllm(self._vllm())

    @property
    def _judge_is_later(self) -> bool:
        """It needs the GPUs that the students have."""
        settings = self.settings
        return settings.judge not in (None, SAME) and not settings.judge_server and settings.engine == "vllm"

    @asynccontextmanager
    async def _student(self, model: Model) -> AsyncIterator[Engine]:
        settings = self.settings
        if settings.server:
            names = SettingNames("server", "model", f"server_key_env={settings.server_key_env}", "openai_fields_only")
            async with self._served(settings.server, model.path, settings.server_key_env, names) as engine:
                yield engine
        else:
            async with self._started(model.path, model.folder / "engine.log") as engine:
                yield engine

    @asynccontextmanager
    async def _judge_beside(self, student: Engine) -> AsyncIterator[Engine | None]:
        settings = self.settings
        if settings.judge == SAME:
            yield student
        elif settings.judge is None or self._judge_is_later:
            yield None
        elif settings.judge_server:
            names = SettingNames(
                "judge_server", "judge", f"judge_key_env={settings.judge_key_env}", "openai_fields_only"
            )
            async with self._served(settings.judge_server, settings.judge, settings.judge_key_env, names) as engine:
                yield engine
        else:
            async with self._started(settings.judge, self.out / "judge.log") as engine:
                yield engine

    @asynccontextmanager
    async def _served(self, address: str, model: str, key: str, names: SettingNames) -> AsyncIterator[Engine]:
        from recipe.zppo.evaluate.engines.server import ServerEngine

        spec = EndpointSpec(address, model, Secret.from_environment(key), names)
        engine = ServerEngine(spec, fields_only=self.settings.openai_fields_only)
        try:
            await engine.check()
            yield engine
        finally:
            await engine.close()

    @asynccontextmanager
    async def _started(self, path: str, log: Path) -> AsyncIterator[Engine]:
        settings = self.settings
        if settings.engine == "hf":
            from recipe.zppo.evaluate.engines.hugging_face import HuggingFaceEngine

            engine = HuggingFaceEngine(path, max_model_len=settings.max_model_len)
            try:
                yield engine
            finally:
                await engine.close()
            return
        from recipe.zppo.evaluate.engines.vllm import vllm_engine

        async with vllm_engine(path, self._vllm(), log) as served:
            yield served

    def _vllm(self) -> VLLMSettings:
        import torch
        from huggingface_hub import constants

        settings = self.settings
        return VLLMSettings(
            gpus=torch.cuda.device_count(),
            tensor_parallel=settings.tensor_parallel,
            max_model_len=settings.max_model_len,
            gpu_memory=settings.gpu_memory,
            media=str(Path(settings.data or constants.HF_HUB_CACHE).expanduser().resolve()),
            more=settings.vllm_args,
        )


def _said(found: BenchmarkResult) -> str:
    if found.score is None:
        return f"no score: {found.error}"
    error = f" ± {found.standard_error:.2f}" if found.standard_error is not None else ""
    more = [
        f"{count} {word}"
        for count, word in (
            (found.cut, "cut"),
            (found.unanswered, "unanswered"),
            (found.undecided, "undecided"),
            (found.malformed, "with a malformed verdict"),
        )
        if count
    ]
    return f"{found.score:.2f}{error} of {found.questions} questions" + (f" ({', '.join(more)})" if more else "")
