#!/usr/bin/env bash
# A LoRA run of trl's SDPO can't be resumed from its own checkpoints, and its teacher is behind the average it is to be.
#
# Versions: trl 1.16.0, transformers 5.24.0, accelerate 1.15.0, torch 2.13.0, datasets 5.2.0, peft 0.21.2 (CPU).
# Behaviour: SDPO's default teacher is "an exponentially averaged" student. With LoRA it is a second adapter, "teacher",
#   which a callback adds when the training begins, and each checkpoint has it in a folder of its own.
#   - resume_from_checkpoint first loads all adapters of the checkpoint, and then the callback adds "teacher" once more:
#     an error, for every checkpoint of every such run. One finds out when a run was interrupted. Without the folder
#     teacher/ the run goes on, with the bare base model as its teacher.
#   - The callback averages LoRA's two matrices, each for itself and from 0 on. The second one is 0 at first for the
#     student too, the first one is not. One would expect the teacher's weights to be the average of the student's, as
#     without LoRA. Their way from the base model is only 1 - 0.95^step of that: two fifths after ten steps. In a run
#     that goes on from a checkpoint, as above, both matrices are to catch up, and it is the square of that.
#   SDFT has the same teacher with teacher_model_kind="ema". "base" and "live" need no second adapter.
# Seen (the length of the teacher's change to the weights, in that of an average of the student's changes):
#   after 5, 10, 20 and 40 steps: [0.23, 0.4, 0.64, 0.86]
#   resumed from step 20: Adapter with name 'teacher' already exists.
#   without its folder teacher/, after 1 and 11 more steps: [0.0, 0.19]
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile trl==1.16.0 transformers==5.24.0 \
  accelerate==1.15.0 torch==2.13.0 datasets==5.2.0 peft==0.21.2
cat > "$work/run.py" <<'PY'
import shutil

import torch
from datasets import Dataset
from peft import LoraConfig
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM, TrainerCallback
from trl.experimental.sdpo import SDPOConfig, SDPOTrainer

VOCABULARY = {word: index for index, word in enumerate(["<pad>", "<eos>", *map(str, range(12))])}
words = Tokenizer(models.WordLevel(VOCABULARY, unk_token="<pad>"))
words.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", padding_side="left")
torch.manual_seed(0)
sizes = dict(vocab_size=len(VOCABULARY), hidden_size=16, intermediate_size=16, num_hidden_layers=1)
heads = dict(num_attention_heads=2, num_key_value_heads=2, eos_token_id=1, pad_token_id=0)
Qwen2ForCausalLM(Qwen2Config(**sizes, **heads)).save_pretrained("model")
tokenizer.save_pretrained("model")
PROMPTS = Dataset.from_dict({"prompt": [str(number) for number in range(12)]})
RATE = 0.05  # the default of teacher_update_rate
STEPS = 5, 10, 20, 40


def change(model, adapter):
    """What an adapter adds to the weights, as one vector."""
    layers = [layer for layer in model.modules() if adapter in getattr(layer, "lora_A", {})]
    return torch.cat([(layer.lora_B[adapter].weight @ layer.lora_A[adapter].weight).flatten() for layer in layers])


class Watch(TrainerCallback):
    """Notes the length of the teacher's change, in that of the average of the student's changes."""

    def __init__(self):
        self.average, self.shares = None, {}

    @torch.no_grad()
    def on_step_begin(self, args, state, control, model, **_):
        if self.average is None:
            self.average = change(model, "default")
            assert not change(model, "teacher").any()

    @torch.no_grad()
    def on_step_end(self, args, state, control, model, **_):
        self.average = (1 - RATE) * self.average + RATE * change(model, "default")
        share = change(model, "teacher").norm() / self.average.norm()
        self.shares[state.global_step] = round(share.item(), 2)


def shares(steps=STEPS[-1], resumed=None):
    """Of a run, by step."""

    def reward(prompts, **_):
        return [float(index % 2) for index in range(len(prompts))]

    arguments = SDPOConfig(
        "sdpo", max_steps=steps, save_steps=20, learning_rate=0.01, per_device_train_batch_size=4, num_generations=2,
        max_completion_length=4, use_cpu=True, bf16=False, save_strategy="steps", report_to="none",
        logging_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    trainer = SDPOTrainer(
        "model", reward, args=arguments, train_dataset=PROMPTS, processing_class=tokenizer,
        peft_config=LoraConfig(r=4, target_modules=["q_proj", "v_proj"]),
    )  # fmt: skip
    watch = Watch()
    trainer.add_callback(watch)
    trainer.train(resume_from_checkpoint=resumed)
    return watch.shares


whole = shares()
print("SEEN after 5, 10, 20 and 40 steps:", [whole[step] for step in STEPS])
assert all(abs(whole[step] - (1 - (1 - RATE) ** step)) < 0.05 for step in STEPS)
try:
    shares(resumed="sdpo/checkpoint-20")
except ValueError as error:
    print("SEEN resumed from step 20:", error)
else:
    raise AssertionError("the run was resumed")
shutil.rmtree("sdpo/checkpoint-20/teacher")
again = shares(31, "sdpo/checkpoint-20")
print("SEEN without its folder teacher/, after 1 and 11 more steps:", [again[21], again[31]])
assert again[21] < 0.01 and abs(again[31] - (1 - (1 - RATE) ** 11) ** 2) < 0.05
PY
cd "$work" && export HF_HOME="$work/hub" HF_HUB_OFFLINE=1
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
