"""The keys of the corpus builder; the defaults are those of App. B.1."""

from typing import Literal

from recipe.zppo.config.engine import Group, key
from recipe.zppo.data.settings import Names
from recipe.zppo.data.sources import MMFineReason, Vero


class CorpusSettings(Group):
    """Keys of `python -m recipe.zppo.data.zppo_77k`."""

    out: str = key("data/zppo_77k", "folder for the data")
    vero: str | None = key(Vero.hub_id, "hub id (with @revision if wanted), folder or parquet file; null leaves it out")
    mmfinereason: str | None = key(MMFineReason.hub_id, "the same for the second source")
    processor: str | None = key("Qwen/Qwen3.5-2B", "the student's model, whose processor counts tokens; null: no count")
    max_prompt_tokens: int = key(4096, "longest prompt, image tokens and closer included", ge=1)
    tier1_cap: int = key(2800, "most rows of a sub-set of tier 1", ge=0)
    tier2_cap: int = key(1400, "most rows of a sub-set of tier 2", ge=0)
    max_pass_rate: float = key(0.5, "MMFineReason's rows with a higher pass rate are dropped", ge=0)
    max_answer_chars: int = key(512, "longest gold answer", ge=1)
    min_image_side: int = key(100, "shortest side of a picture, in pixels", ge=1)
    duplicates: Literal["drop", "fill"] = key(
        "drop",
        "sub-sets that both sources have: drop MMFineReason's, or fill the places that Vero's leaves under the cap",
    )
    free_form: Literal["mark", "drop"] = key(
        "mark",
        "answers that no rule can grade: mark them for the judge, or drop them",
    )
    check_answers: bool = key(True, "drop rows whose own gold answer the reward function would call wrong")
    grader: Literal["paper", "careful"] = key("paper", "the reward function's grader: zppo.reward.grader of the runs")
    strip_directives: bool = key(True, "take 'think step by step' and 'put it in a box' off the questions")
    subsets: Names | None = key(None, "canonical names, such as [ai2d,tqa]; null: all")
    split: str = key("train", "split of the sources, and name of the files")
    seed: int = key(0, "which rows are taken under a cap, and their order", ge=0)
    rows_per_shard: int = key(1000, "rows in a file", ge=1)
    workers: int | None = key(None, "processes; null: one a core", ge=1)
    overwrite: bool = key(False, "remove a build with other settings from the folder first")
