"""The keys of what surrounds the step: validation, limits on waiting, data rows, files of a run."""

from recipe.zppo.config.engine import Group, key


class ValidationConfig(Group):
    """What verl's `rollout.val_kwargs` has no key for (App. B.2)."""

    presence_penalty: float = key(1.5, ge=-2.0, le=2.0, paper="App. B.2")
    """Taken from the logit of every token that a validation response has already; 0 switches it off. Training samples
    without any penalty."""


class EvaluateConfig(Group):
    """Benchmarks of the paper that are part of every validation, beside `data.val_files`."""

    benchmarks: list[str] = []
    """Names as in the paper's tables (`AI2D`), or families: `vlm`, `llm`, `video`. Each is logged as the data source
    `eval/<name>`."""

    limit: int | None = key(200, ge=1)
    """Questions of each at most: the same ones in every run, and for every limit. null asks all."""

    data: str | None = None
    """Folder of local copies, `<folder>/<owner>/<name>` for each data set. null takes them from the hub."""


class TimeoutsConfig(Group):
    """Limits on waiting: a run stops with a message instead of hanging."""

    start_s: float = key(3600.0, gt=0.0, le=1e8)
    """Seconds until the engine and the servers of student and teacher are ready, reading the data not counted."""

    rollout_s: float = key(3600.0, gt=0.0)
    """Seconds from submission until a group of rollouts, plain or reformulated, must be complete."""

    step_s: float = key(10_800.0, gt=0.0)
    """Seconds that the generation of a whole step may take."""

    validation_s: float = key(10_800.0, gt=0.0)
    """Seconds that one validation may take."""

    engine_s: float = key(21_600.0, gt=0.0, le=1e8)
    """Seconds that one call of the training engine may take: log-probs, the updates of a step, weights to the servers,
    a checkpoint."""


class ColumnsConfig(Group):
    """Names of columns in your files, where they are not verl's; `data.columns.prompt=question` is the same key. null
    where the file has verl's own."""

    prompt: str | None = None
    """The question: a text, which becomes one user message, or chat messages. Pictures for which a text has no
    `<image>` stand before it."""

    answer: str | None = None
    """The gold answer, which becomes `reward_model.ground_truth`."""

    images: str | None = None
    """A picture, or a list of them."""

    data_source: str | None = None
    """What held-out accuracy is shown for."""


class DataConfig(Group):
    """Data rows: images, and columns beyond verl's."""

    min_pixels: int | None = key(None, ge=1)
    """Width x height of an image at least, in training and validation: a smaller one is enlarged before the processor,
    which has limits of its own. A row's own `min_pixels` comes first. The paper evaluates with 262144, and so do
    benchmarks (`zppo.evaluate`) whatever is set here."""

    max_pixels: int | None = key(None, ge=1)
    """Width x height of an image at most; a larger one is reduced, in its proportions. The paper evaluates with
    1310720, and so do benchmarks. It bounds the tokens of models that take an image as it is, such as Qwen's; one
    that enlarges it to tiles of a fixed size, such as InternVL, may take most for a small one."""

    prompt_id_key: str = "prompt_id"
    """Column with an id that is unique over the training files: a prompt lives in the buffer under it. Without such a
    column, a hash of question and answer serves."""

    accept_changes: bool = False
    """Go on from a checkpoint also where the training data are others than it was written with. Prompts that are gone
    leave the replay buffer; unless all others have kept their places, a new pass over the data begins."""

    columns: ColumnsConfig = ColumnsConfig()


class LoggingConfig(Group):
    """Files that a run writes beside console and TensorBoard."""

    rollouts_dir: str | None = "${trainer.default_local_dir}/rollouts"
    """Folder of one JSONL file a step: question, prompt kind, candidates, responses, rewards. null writes none."""

    metrics_file: str | None = "${trainer.default_local_dir}/metrics.jsonl"
    """JSONL file with the metrics of every step. null writes none."""

    text_limit: int | None = key(65_536, ge=1)
    """Characters of one text in the rollout files at most; null for no limit."""


class PlanConfig(Group):
    """What a plan (`zppo.dry_run`) is told, as it measures nothing. A run takes no notice of it."""

    questions: int | None = key(None, ge=1)
    """Training questions that steps are counted from, in place of the rows of data.train_files. Data files that are not
    on this machine are then left unchecked."""

    prompt_tokens: int | None = key(None, ge=1)
    """Mean tokens of a prompt, for the hours. null takes the longest."""

    response_tokens: int | None = key(None, ge=1)
    """Mean tokens of a response, the student's or the teacher's, for the hours. null takes the longest."""

    generation_tokens_per_s: float | None = key(None, gt=0.0)
    """Tokens a second that one accelerator of the student's servers generates. Hours are planned from this and
    `training_tokens_per_s`; neither has a default, as neither was measured."""

    teacher_tokens_per_s: float | None = key(None, gt=0.0)
    """Tokens a second that one accelerator of the teacher's servers generates. null takes the teacher to keep up."""

    training_tokens_per_s: float | None = key(None, gt=0.0)
    """Tokens of prompts and responses a second that one accelerator of the student learns from. From a share of
    the peak (MFU): MFU x peak FLOP/s / (6 x parameters)."""

    price_per_gpu_hour: float | None = key(None, gt=0.0)
    """Price of one accelerator for an hour, in any currency. Whole nodes are paid for."""


class ExportConfig(Group):
    """What is written at the end of a run."""

    hf_model: bool = True
    """Write the final student as a Hugging Face model, in bfloat16. `zppo export` makes one of any checkpoint."""
