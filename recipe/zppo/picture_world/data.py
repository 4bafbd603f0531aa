"""The data files: ordinary verl parquet with a column `images`; the question without the closer."""

import random
from pathlib import Path

import pandas as pd

from recipe.zppo.picture_world.drawing import draw, png
from recipe.zppo.picture_world.questions import Names, Question
from recipe.zppo.picture_world.settings import PictureWorldSettings
from recipe.zppo.world.paths import WorldPaths

DATA_SOURCE = "pictures"


def draw_splits(settings: PictureWorldSettings, names: Names) -> dict[str, list[Question]]:
    """The questions of each split. No picture occurs twice; those of `val` are also in no pre-training document."""
    wanted = {"train": (settings.train_questions, False), "val": (settings.val_questions, True)}
    splits: dict[str, list[Question]] = {}
    for split, (count, held_out) in wanted.items():
        rng = random.Random(f"{split} questions {settings.seed}")
        questions: dict[str, Question] = {}
        while len(questions) < count:
            question = names.draw_question(settings, rng, held_out=held_out)
            questions.setdefault(question.scene.digest(), question)
        splits[split] = list(questions.values())
    return splits


def row(question: Question, index: int, split: str, names: Names) -> dict:
    return {
        "data_source": DATA_SOURCE,
        "prompt": [{"role": "user", "content": f"<image>{question.text()}"}],
        "images": [{"bytes": png(draw(question.scene))}],
        "ability": question.family,
        "reward_model": {"style": "rule", "ground_truth": str(question.total())},
        "extra_info": {
            "index": index,
            "split": split,
            "family": question.family,
            "num_names": len(question.names),
            "hard_names": names.level(question),
        },
        "prompt_id": f"{DATA_SOURCE}-{split}-{question.family}-{question.scene.digest()}",
    }


def write_splits(settings: PictureWorldSettings, root: Path) -> None:
    names = Names.draw(settings)
    for split, questions in draw_splits(settings, names).items():
        rows = [row(question, n, split, names) for n, question in enumerate(questions)]
        pd.DataFrame(rows).to_parquet(WorldPaths(root).file(split))
