#!/usr/bin/env bash
# With val_max_samples verl validates on other questions after each start, and with train_max_samples a resumed run
# trains on other ones.
#
# Versions: verl 0.9.1, torchdata 0.11.0, datasets 5.2.0, torch 2.13.0 (CPU, data.dataloader_num_workers=0; the loaders
#   are made by the trainer's own _init_dataloader).
# Behaviour: both settings take a random subset of the rows when the data set is read, and data.seed is null by default.
#   For shuffling that does no harm, as a checkpoint has the loader's random state: a resumed run goes on in the same
#   order. One would expect the same of the subset, or the first rows where nothing is to be shuffled. But the subset is
#   drawn anew at each start and is in no checkpoint: what is resumed are positions among other rows.
#   - Validation has data.validation_shuffle=false, which only orders it. The subset follows data.shuffle, the setting
#     of the training data. So the curve of one run jumps where it was resumed, and two runs of a comparison are
#     validated on different questions.
#   - In training nine tenths of a small subset are rows that the run has not seen so far, in the middle of an epoch.
#   data.seed cures both.
# Seen (1,000 rows; subsets of 100; a run is stopped in the middle of its first epoch):
#   an epoch, no subset: 1000 rows, 1000 different
#   an epoch, data.train_max_samples=100: 100 rows, at least 10 of the second half not in the first start's subset: True
#   an epoch, data.train_max_samples=100, data.seed=1: 100 rows, at least 10 of the second half not in the first start's
#     subset: False
#   validation, data.val_max_samples=100: two starts share less than 30 rows: True
#   validation, data.val_max_samples=100, data.seed=1: two starts share less than 30 rows: False
#   validation, data.val_max_samples=100, data.shuffle=false: two starts share less than 30 rows: False
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check verl==0.9.1 torch==2.13.0 transformers==5.10.4 \
  torchdata==0.11.0 tensordict==0.10.0 datasets==5.2.0 peft==0.21.2 accelerate==1.15.0 ray==2.60.0 \
  TransferQueue==0.1.11 cachetools==8.0.1 uvicorn==0.54.0 fastapi==0.165.0
cat > "$work/run.py" <<'PY'
from types import SimpleNamespace

from datasets import Dataset
from hydra import compose, initialize_config_module
from verl.trainer.ppo.v1.trainer_base import PPOTrainer

ROWS, TRAIN, VALIDATE, SEED = 1000, "data.train_max_samples=100", "data.val_max_samples=100", "data.seed=1"


def start(*settings):
    """A trainer with the data loaders that it makes when it starts."""
    data = ["data.train_files=rows.parquet", "data.val_files=rows.parquet", "data.train_batch_size=10"]
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", [*data, "data.dataloader_num_workers=0", *settings])
    trainer = SimpleNamespace(
        config=config, tokenizer=None, processor=None, trainer_mode="sync", parameter_sync_step=1
    )
    PPOTrainer._init_dataloader(trainer)
    return trainer


def rows(loader, batches=None):
    drawn = zip(range(batches or len(loader)), loader)
    return [row for _, batch in drawn for row in batch["index"].tolist()]


def resumed(*settings):
    """The rows of an epoch before a stop and after it, and the subset that the first start had drawn."""
    trainer, again = start(*settings), start(*settings)
    first = rows(trainer.train_dataloader, len(trainer.train_dataloader) // 2)
    again.train_dataloader.load_state_dict(trainer.train_dataloader.state_dict())
    return first, rows(again.train_dataloader), {row["index"] for row in trainer.train_dataset}


Dataset.from_dict(
    {
        "data_source": ["sums"] * ROWS,
        "prompt": [[{"role": "user", "content": f"What is {n} + 1?"}] for n in range(ROWS)],
        "reward_model": [{"style": "rule", "ground_truth": str(n + 1)} for n in range(ROWS)],
        "extra_info": [{"index": n} for n in range(ROWS)],
    }
).to_parquet("rows.parquet")

first, second, _ = resumed()
print(f"SEEN an epoch, no subset: {len(first + second)} rows, {len({*first, *second})} different")
assert len(first) == len(second) == 500 and len({*first, *second}) == ROWS
for settings, expected in (((TRAIN,), True), ((TRAIN, SEED), False)):
    first, second, subset = resumed(*settings)
    others = len(set(second) - subset)
    name, count = ", ".join(settings), len(first + second)
    print(
        f"SEEN an epoch, {name}: {count} rows, at least 10 of the second half not in the first start's subset:",
        others >= 10,
    )
    assert (count, others >= 10, others == 0) == (100, expected, not expected), others
for settings, expected in (((), True), ((SEED,), False), (("data.shuffle=false",), False)):
    one, other = (set(rows(start(VALIDATE, *settings).val_dataloader)) for _ in range(2))
    shared = len(one & other)
    print(f"SEEN validation, {', '.join((VALIDATE, *settings))}: two starts share less than 30 rows:", shared < 30)
    assert len(one) == len(other) == 100 and (shared < 30, shared == 100) == (expected, not expected), shared
PY
cd "$work" && export RAY_USAGE_STATS_ENABLED=0 HF_HOME="$work/hub" HF_HUB_OFFLINE=1
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
