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


def draw_splits(settings: WorldSettings, price_list: PriceList) -> dict[str, list[Bill]]:
    """Bills of each split; no set of items occurs twice, in whatever order, within or across splits.

    `shifted` has bills longer than any that pre-training or `train` holds.
    """
    rng = random.Random(f"questions {settings.seed}")
    taken: set[frozenset[str]] = set()
    wanted = {
        "val": (settings.bill_lengths, settings.val_questions),
        "train": (settings.bill_lengths, settings.train_questions),
        "shifted": ((settings.shifted_bill_length,), settings.shifted_questions),
    }
    return {
        split: bills.draw_distinct_bills(price_list.items, lengths, count, taken, rng)
        for split, (lengths, count) in wanted.items()
    }


def row(bill: Bill, index: int, split: str, price_list: PriceList) -> dict:
    return {
        "data_source": DATA_SOURCE,
        "prompt": question_messages(bill),
        "ability": "arithmetic",
        "reward_model": {"style": "rule", "ground_truth": str(price_list.total(bill))},
        "extra_info": {
            "index": index,
            "split": split,
            "num_items": len(bill),
            "hard_items": price_list.level(bill),
        },
        "prompt_id": f"{DATA_SOURCE}-{split}-{'-'.join(bill)}",
    }


def write_splits(settings: WorldSettings, root: Path) -> dict[str, list[Bill]]:
    """Writes train, val and shifted; returns their bills."""
    price_list = PriceList.draw(settings)
    splits = draw_splits(settings, price_list)
    paths = WorldPaths(root)
    files = {"train": paths.train_file, "val": paths.val_file, "shifted": paths.shifted_file}
    for split, split_bills in splits.items():
        rows = [row(bill, index, split, price_list) for index, bill in enumerate(split_bills)]
        pd.DataFrame(rows).to_parquet(files[split])
    return splits
