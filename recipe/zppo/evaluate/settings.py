"""The keys of the evaluation; decoding and prompts are the protocol's (`protocol.py`)."""

from typing import Annotated, Literal

from pydantic import model_validator

from recipe.zppo.config.address import check_address
from recipe.zppo.config.engine import DescribedAs, Group, key
from recipe.zppo.data.settings import Names
from recipe.zppo.evaluate.protocol import MAX_NEW_TOKENS, MODEL_LENGTH

SAME = "same"
"""As `judge`: the student's engine judges."""

JUDGE = "Qwen/Qwen3.5-27B-FP8"

Texts = Annotated[tuple[str, ...], DescribedAs("a list such as [a,b]")]


class EvaluateSettings(Group):
    """Keys of `python -m recipe.zppo.evaluate`."""

    model: Names = key(
        ...,
        "folder or hub id, or a list of them; with server the name that it serves; NAME=PATH names it in the tables",
    )
    benchmarks: Names = key(("vlm", "llm", "video"), "families (vlm, llm, video) or names such as [AI2D,GPQA-D]")
    data: str | None = key(None, "folder of local copies, FOLDER/OWNER/NAME; null: the hub, and its cache")
    out: str = key("evaluation", "folder for the results; the same command goes on where it was")
    paper: Texts = key(
        (), "row of the paper beside a model, such as 0.8B/zppo; one for all or one for each; [] shows none"
    )
    engine: Literal["vllm", "hf"] = key(
        "vllm", "who runs the models where no server is given: vLLM on this machine's GPUs, or Hugging Face on the CPU"
    )
    server: str | None = key(None, "address of an OpenAI-compatible server with the model, such as http://host:8000/v1")
    server_key_env: str = key("ZPPO_EVALUATE_API_KEY", "environment variable with the server's key, where it wants one")
    openai_fields_only: bool = key(
        False, "send servers what OpenAI's API has: no top-k, min-p, repetition penalty; then it is another protocol"
    )
    judge: str | None = key(
        JUDGE, "the judge's model; same: the evaluated model judges itself; null: none, what rules leave open scores 0"
    )
    judge_server: str | None = key(
        None, "address of a server with the judge; null: started by engine, after the answers"
    )
    judge_key_env: str = key("ZPPO_JUDGE_API_KEY", "environment variable with that server's key")
    judge_sees: Literal["extracted", "whole"] = key(
        "extracted", "of a response: its boxed answer where it has one, or the whole of it"
    )
    limit: int | None = key(None, "questions of each benchmark at most, drawn by the seed; null: all", ge=1)
    samples: int = key(1, "answers to each question; several give a standard error", ge=1)
    seed: int = key(0, "what answers and subsets are drawn by", ge=0)
    max_tokens: int = key(MAX_NEW_TOKENS, "new tokens of an answer at most; another number is another protocol", ge=1)
    max_model_len: int = key(MODEL_LENGTH, "tokens of prompt and answer that vLLM makes room for", ge=1)
    in_flight: int = key(256, "requests at a time", ge=1)
    retries: int = key(3, "further tries of a request that failed; then the question is unanswered", ge=0)
    timeout_s: float = key(3600.0, "seconds that a request may take", gt=0.0)
    ask_unanswered: bool = key(False, "ask again what is unanswered in benchmarks that have their score, too")
    tensor_parallel: int = key(1, "GPUs for one copy of a model; vLLM starts a copy on each", ge=1)
    gpu_memory: float = key(0.9, "share of a GPU's memory for vLLM", gt=0.0, le=1.0)
    vllm_args: Texts = key((), "further arguments of vllm serve, such as [--enforce-eager]")

    @model_validator(mode="after")
    def _fit(self) -> "EvaluateSettings":
        check_address("server", self.server, "server_key_env", self.server_key_env)
        check_address("judge_server", self.judge_server, "judge_key_env", self.judge_key_env)
        default = "judge" not in self.model_fields_set
        if self.engine == "hf" and not self.judge_server and default:
            raise ValueError(
                f"judge: {JUDGE} is too large for engine=hf; give judge_server=URL, judge=same, a small model, or null"
            )
        if self.judge_server and self.judge in (None, SAME):
            raise ValueError(f"judge: judge_server is given; name the model that it serves, not {self.judge or 'null'}")
        if self.server and not self.judge_server and default:
            raise ValueError(
                "judge: beside server give judge_server=URL, judge=same, judge=null, or a model to start here"
            )
        return self
