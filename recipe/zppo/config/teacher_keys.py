"""The keys of the teacher, and of what grades a response: the rule, and the teacher as judge."""

from typing import Annotated, Any, Literal

from pydantic import Field

from recipe.zppo.config.engine import DescribedAs, Group, key


class TeacherConfig(Group):
    """The frozen teacher: its servers, its sampling, and what happens when it fails."""

    path: str | None = key(None, paper="pi_T, Table 8")
    """Local folder or hub id; with `base_url` the name under which the model is served there. Needed while anything
    asks the teacher."""

    base_url: str | None = None
    """An OpenAI-compatible endpoint that serves the teacher, such as http://host:8000/v1; null starts servers of our
    own. It gives chat completions only, so it will not do for distillation."""

    api_key_env: str = "ZPPO_TEACHER_API_KEY"
    """Environment variable that holds the endpoint's key, where it wants one. The key is read from the environment of
    the process that starts the run and is never written anywhere."""

    openai_fields_only: bool = False
    """Send the endpoint only what OpenAI's own API has, for services that refuse the rest: no top-k, min-p, repetition
    penalty and `chat_template_kwargs`. The server's defaults then hold, for vLLM the model's generation_config.json."""

    more: Annotated[list[str], DescribedAs("a list of texts such as [a,b]")] = key(
        [], used=lambda config: config.asks_teacher
    )
    """Further teachers, beyond the paper: a question that one does not solve goes to the next. `path` is asked first,
    and compresses; each gets a pool of its own, of `n_gpus_per_node` x `nnodes`."""

    n_rollouts: int = key(4, ge=1, paper="G_T, Table 8", used=lambda config: config.asks_teacher)
    """Fresh teacher rollouts for each question that it is asked."""

    ask: Literal["hard", "in_reach", "ahead"] = key(
        "hard", paper="hard in Algorithm 1, step 2", used=lambda config: config.asks_hard
    )
    """Whom the teacher is asked about, and when; a step's groups are the same with each. hard: every hard question, as
    soon as it is certain to be hard. in_reach, beyond the paper: of these only the ones that the caps can still reach,
    which is the least work. ahead, beyond the paper: whoever stands within the caps' reach so far, from the beginning
    of the step, hard or not, which is the shortest step where the teacher has accelerators of its own."""

    n_gpus_per_node: int = key(2, ge=1, paper="Table 8")
    """Accelerators of each node that serve the teacher; the student has `trainer.n_gpus_per_node` others."""

    nnodes: int = key("${trainer.nnodes}", ge=1, paper="Table 8")
    """Nodes of the teacher's pool."""

    temperature: float = key(1.0, ge=0.0, paper="Table 8")
    """Sampling temperature of teacher rollouts and of compression."""

    top_p: float = key(1.0, gt=0.0, le=1.0, paper="Table 8")
    """Nucleus of teacher rollouts."""

    top_k: int = key(-1, ge=-1, paper="Table 8")
    """Teacher rollouts draw from so many most likely tokens; -1 takes the whole vocabulary."""

    response_length: int = key("${data.max_response_length}", ge=1, paper="Table 8")
    """New tokens of one teacher rollout at most."""

    request_timeout_s: float = key(1800.0, gt=0.0)
    """Seconds that one request may take, waiting in the server's queue included."""

    step_timeout_s: float = key(3600.0, gt=0.0)
    """Seconds that the teacher work of one step may take; what is late then is dropped and counted."""

    max_retries: int = key(2, ge=0)
    """Further tries of a request that failed or timed out."""

    max_concurrent_requests: int = key(1024, ge=1)
    """Requests in flight at once, over all agent-loop workers."""

    dead_after_failures: int = key(8, ge=1)
    """Failures in a row after which the teacher counts as dead: steps go on with NCQ and truncated candidates only."""

    retry_after_s: float = key(300.0, gt=0.0)
    """Seconds until a dead teacher is tried again."""

    inference: dict[Any, Any] = key(
        {
            "tensor_model_parallel_size": 1,
            "gpu_memory_utilization": 0.85,
            "max_num_seqs": 256,
            "max_model_len": "${actor_rollout_ref.rollout.max_model_len}",
        },
        paper="tensor parallel size 1, Table 8",
    )
    """Settings of verl's rollout config for the teacher's servers, on top of verl's teacher defaults. `max_num_seqs` is
    not verl's 1024, since vLLM does not start with more than the blocks that a model with linear attention has: about
    700 for a 27B of 8 bits on 80 GB."""


class AnswerConfig(Group):
    """Where the final answer of a response stands. Prompts ask for it there, rewards, summaries, audits and the judge
    read it there, and NCQ shows it so."""

    closer: Annotated[str | None, Field(min_length=0)] = key(None, paper="Fig. 8")
    """Text at the end of every prompt. null is the paper's, which asks for thoughts in <think> tags and a box; '' adds
    nothing, for data that say it themselves."""

    form: str = key("\\boxed{{answer}}", paper="\\boxed{}, Figs. 8, 16, 18 and 19")
    """An answer as it stands in a response, with {answer} for the answer itself: '#### {answer}' is GSM8K's, which goes
    to the end of its line. The last one counts. Another form than the box needs a `closer` that asks for it."""

    path: str | None = None
    """Python file (or pkg://module) with a function that reads the answer off a response, in place of `form`: it takes
    the text, and gives the answer as a text, or None. All nodes must reach it. An `answer` that a reward function of
    your own returns goes before it."""

    name: str = key("extract_answer", used=lambda config: config.answer.path is not None)
    """The function's name in that file."""


class RewardConfig(Group):
    """The rule that compares an answer with the gold one, in training, validation and the evaluation alike."""

    grader: Literal["paper", "careful"] = key("paper", paper="mathruler in two passes, Table 8")
    """paper is mathruler, then once more without marks of degree and percent; it takes many wrong answers for right
    (`hour` for `second`) and right ones for wrong (`x²` for `x^2`). careful, beyond the paper, keeps structure and
    order, and forgives forms; docs/guides/data.md compares the two. A reward function of your own does as it likes."""

    binarize: Annotated[str | None, DescribedAs("a comparison such as '>=0.5'")] = None
    """For a reward function of your own that gives points: '>=0.5' makes a score of at least 0.5 a reward of 1, any
    other one 0; '>0.5' leaves 0.5 out. null takes rewards of exactly 0 and 1 only."""


class JudgeConfig(Group):
    """The teacher as judge (App. B.2, App. D.1): of free-form rows, whose `extra_info.answer_type` is `free_form`, or
    of all that the reward function leaves open."""

    enable: bool = key(False, paper="App. D.1")
    """Ask the judge, for which the first teacher is started also where the method needs none. Needed while the data
    have free-form rows."""

    route: Literal["free_form", "unresolved"] = key("free_form", paper="free_form in App. D.1")
    """Who is judged in training. free_form: free-form rows, instead of by the reward function. unresolved: the reward
    function goes first on every row, and the judge gets each response that it does not call right."""

    validation_route: Literal["free_form", "unresolved"] = key("free_form", paper="unresolved in App. B.2")
    """Who is judged in validation, where the reward function always goes first. free_form: responses to free-form rows
    that it does not call right. unresolved: such responses to any row, as the paper evaluates."""

    response: Literal["extracted", "whole"] = key("extracted", paper="either, App. B.2")
    """What the judge sees of a response. extracted: the boxed answer, or the response with its reasoning where no box
    can be read. whole: always the response with its reasoning."""

    template: str | None = key(None, paper="Fig. 9, in other words")
    """File with a template of your own for the judge's request, UTF-8, with the placeholders {question}, {response},
    {gold} and, if you like, {options}. All nodes must reach it. null takes ours."""

    max_tokens: int = key(512, ge=1, paper="App. D.1")
    """New tokens of one verdict at most. Its temperature is 0 and its top-p 1."""

    max_answer_tokens: int = key("${data.max_response_length}", ge=1)
    """Of a response that it sees with its reasoning the judge sees the end, so many of the student's tokens."""

    thinking: bool = False
    """Let the chat template open with reasoning, which counts in `max_tokens`. false passes `enable_thinking=false` to
    the template, to an endpoint as `chat_template_kwargs` (see `zppo.teacher.openai_fields_only`)."""
