"""The data files: ordinary verl parquet, the question without the closer."""

import random
from pathlib import Path

import pandas as pd

from recipe.zppo.world import bills
from recipe.zppo.world.bills import Bill, PriceList
from recipe.zppo.world.documents import question_messages
from recipe.zppo.world.paths import WorldPaths
from recipe.zppo.world.settings import WorldSettings

DATA_SOURCE = "price_list"


FAMILIES = ("usual", "new_pairs", "longer")


def draw_splits(settings: WorldSettings, price_list: PriceList) -> dict[str, list[tuple[Bill, str]]]:
    """(bill, family) of each split; no set of items occurs twice, in whatever order, within or across splits.

    Half of `shifted` are bills with items that stand together nowhere else, pre-training included (`new_pairs`); the
    other half are longer than any bill of `train` (`longer`).
    """
    rng = random.Random(f"questions {settings.seed}")
    draws = {
        "usual": lambda: price_list.draw_bill(settings.bill_lengths, rng),
        "new_pairs": lambda: price_list.draw_bill(settings.bill_lengths, rng, reserved=True),
        "longer": lambda: price_list.draw_bill([settings.longer_bill_length], rng),
    }
    wanted = {
        "val": {"usual": settings.val_questions},
        "train": {"usual": settings.train_questions},
        "shifted": {
            "new_pairs": settings.shifted_questions - settings.shifted_questions // 2,
            "longer": settings.shifted_questions // 2,
        },
    }
    taken: set[frozenset[str]] = set()
    return {
        split: [
            (bill, family)
            for family, count in counts.items()
            for bill in bills.draw_distinct_bills(draws[family], count, taken)
        ]
        for split, counts in wanted.items()
    }


def row(bill: Bill, family: str, index: int, split: str, price_list: PriceList) -> dict:
    """One row of a data file. `family` is one of :data:`FAMILIES`."""
    return {
        "data_source": DATA_SOURCE,
        "prompt": question_messages(bill),
        "ability": "arithmetic",
        "reward_model": {"style": "rule", "ground_truth": str(price_list.total(bill))},
        "extra_info": {
            "index": index,
            "split": split,
            "family": family,
            "num_items": len(bill),
            "hard_items": price_list.level(bill),
        },
        "prompt_id": f"{DATA_SOURCE}-{split}-{'-'.join(bill)}",
    }


def write_splits(settings: WorldSettings, root: Path) -> None:
    price_list = PriceList.draw(settings)
    for split, drawn in draw_splits(settings, price_list).items():
        rows = [row(bill, family, index, split, price_list) for index, (bill, family) in enumerate(drawn)]
        pd.DataFrame(rows).to_parquet(WorldPaths(root).file(split))
