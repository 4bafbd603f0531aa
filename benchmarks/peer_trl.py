"""A step of TRL's GRPOTrainer, timed. It runs in the peer's environment and imports nothing of this project.

``python peer_trl.py REQUEST``: a JSON file with `model` (a folder), `prompts` (texts), `steps`, `questions`,
`group_size`, `updates`, `response`, `threads`. One JSON line on stdout: seconds of each step.
"""

import itertools
import json
import os
import sys
import tempfile
import time
import zlib


def reward(completions, **_):
    """0 or 1 by the text alone, so that groups differ as they would in a training."""
    return [float(zlib.crc32(completion.encode()) % 2) for completion in completions]


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        request = json.load(file)
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    import torch
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(request["threads"])
    ends = []

    class Clock(TrainerCallback):
        def on_train_begin(self, *_, **__):
            ends.append(time.perf_counter())

        def on_step_end(self, *_, **__):
            ends.append(time.perf_counter())

    updates, rollouts = request["updates"], request["questions"] * request["group_size"]
    with tempfile.TemporaryDirectory() as folder:
        settings = GRPOConfig(
            output_dir=folder,
            per_device_train_batch_size=rollouts // updates,
            steps_per_generation=updates,
            num_generations=request["group_size"],
            num_iterations=1,
            max_completion_length=request["response"],
            max_steps=request["steps"] * updates,
            beta=0.0,
            learning_rate=1e-6,
            lr_scheduler_type="constant",
            temperature=1.0,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            model_init_kwargs={"dtype": "float32"},
            dataloader_pin_memory=False,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            seed=0,
        )
        trainer = GRPOTrainer(
            model=request["model"],
            reward_funcs=reward,
            args=settings,
            train_dataset=Dataset.from_dict({"prompt": request["prompts"]}),
            callbacks=[Clock()],
        )
        trainer.train()
    marks = ends[::updates]
    print("\n" + json.dumps([end - begin for begin, end in itertools.pairwise(marks)]))


if __name__ == "__main__":
    main()
