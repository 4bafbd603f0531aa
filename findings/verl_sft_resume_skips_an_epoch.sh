#!/usr/bin/env bash
# verl's SFT trainer, resumed from the checkpoint that ends an epoch, leaves the next epoch out and ends early.
#
# Versions: verl 0.9.1, torchdata 0.11.0, torch 2.13.0 (CPU, data.num_workers=0; loop, loader and checkpoint handler are
#   verl's own; the model and its engine are replaced by an engine that counts, and log_gpu_memory_usage, which needs a
#   GPU, by a function that does nothing).
# Behaviour: a checkpoint is written inside the loop over an epoch's batches, also behind the last of them
#   (trainer.save_freq=after_each_epoch writes all of its checkpoints there). The loader's state is then that of an
#   epoch without batches left, and torchdata gives an empty epoch to who loads it. The trainer has already counted on
#   to the next epoch: that one is the empty one. One would expect steps 5 to 12 from the end of the first of three
#   epochs of four steps. The second epoch is passed over, steps 5 to 8 are the third, and the run ends with status 0,
#   four updates short. From the end of the second epoch nothing is trained at all. In the middle of an epoch all is
#   well.
# Seen (3 epochs of 4 steps):
#   whole run: steps [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
#   resumed from step 6: [7, 8, 9, 10, 11, 12]
#   resumed from step 4: [5, 6, 7, 8]
#   resumed from step 8: []
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check verl==0.9.1 torch==2.13.0 transformers==5.10.4 \
  torchdata==0.11.0 tensordict==0.10.0 datasets==5.2.0 peft==0.21.2 accelerate==1.15.0 ray==2.60.0 \
  TransferQueue==0.1.11 cachetools==8.0.1 uvicorn==0.54.0 fastapi==0.165.0
cat > "$work/run.py" <<'PY'
import os
from pathlib import Path
from types import SimpleNamespace

import torch
import verl
from hydra import compose, initialize_config_dir
from verl.trainer import sft_trainer
from verl.utils import tensordict_utils as tu

work = Path.cwd()
sft_trainer.log_gpu_memory_usage = lambda *_, **__: None
torch.distributed.init_process_group("gloo", init_method=f"file://{work}/group", rank=0, world_size=1)


class Engine:
    """Of one rank, without a model: what the trainer asks of an engine outside an update."""

    def get_data_parallel_rank(self):
        return 0

    def get_data_parallel_size(self):
        return 1

    def get_data_parallel_group(self):
        return None

    def is_mp_src_rank_with_outputs(self):
        return True

    def save_checkpoint(self, local_path, **_):
        os.makedirs(local_path)

    def load_checkpoint(self, local_path):
        assert os.path.isdir(local_path)


class Client:
    """Counts the updates."""

    updates = 0

    def reset(self):
        pass

    def step_profile(self):
        pass

    def train_batch(self, data):
        self.updates += 1
        return tu.get_tensordict(tensor_dict={}, non_tensor_dict={"metrics": {"loss": 0.0}})


def steps(name, resumed=None):
    """The steps that a run made: each of them leaves a checkpoint."""
    overrides = {
        "data.train_batch_size": 4, "data.num_workers": 0, "trainer.device": "cpu", "trainer.logger": "[console]",
        "trainer.default_local_dir": work / name, "trainer.total_epochs": 3, "trainer.save_freq": 1,
        "trainer.resume_mode": "resume_path" if resumed else "disable",
        "trainer.resume_from_path": work / f"whole/global_step_{resumed}" if resumed else "null",
    }  # fmt: skip
    with initialize_config_dir(str(Path(verl.__file__).parent / "trainer/config"), version_base=None):
        config = compose("sft_trainer_engine", overrides=[f"{key}={value}" for key, value in overrides.items()])
    trainer = sft_trainer.SFTTrainer.__new__(sft_trainer.SFTTrainer)
    trainer.config, trainer.rank, trainer.device_name, trainer.engine = config, 0, "cpu", Engine()
    trainer.training_client, trainer.model_config = Client(), SimpleNamespace(tokenizer=SimpleNamespace(pad_token_id=0))
    trainer.optimizer_config, trainer.start_profile_step, trainer.end_profile_step = config.optim, -1, -1
    row = {key: torch.ones(3, dtype=torch.long) for key in ("input_ids", "loss_mask", "position_ids")}
    trainer.train_dataset, trainer.val_dataset = [row] * 16, None
    trainer._build_dataloader()
    trainer._init_engine()
    trainer._build_ckpt_handler()
    trainer.resume_global_step = trainer.ckpt_handler.load_checkpoint()
    trainer.fit()
    made = sorted(int(each.name.rpartition("_")[2]) for each in Path(name).glob("global_step_*"))
    assert len(made) == trainer.training_client.updates
    return made


whole, middle, first, second = steps("whole"), steps("middle", 6), steps("first", 4), steps("second", 8)
print("SEEN whole run: steps", whole)
print("SEEN resumed from step 6:", middle)
print("SEEN resumed from step 4:", first)
print("SEEN resumed from step 8:", second)
assert whole == list(range(1, 13)) and middle == list(range(7, 13)), (whole, middle)
assert first == [5, 6, 7, 8] and second == [], (first, second)
PY
cd "$work" && export HF_HOME="$work/hub" HF_HUB_OFFLINE=1 RAY_USAGE_STATS_ENABLED=0
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
