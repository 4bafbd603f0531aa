#!/usr/bin/env bash
# A run that trl resumes in its second epoch takes the first one's order, and its EMA teacher is the untrained model.
#
# Versions: trl 1.16.0, transformers 5.24.0, accelerate 1.15.0, torch 2.13.0, datasets 5.2.0, peft 0.21.2 (CPU).
# Behaviour: resume_from_checkpoint restores model, optimizer, schedule and random state, and skips the batches that are
#   done. One would expect a resumed run to go on where it was. Two parts of the state are in no checkpoint.
#   - GRPO, RLOO and the trainers for distillation draw prompts with trl's RepeatSampler. Its generator is its own, and
#     it has no set_epoch: a new process shuffles as in epoch 1, whatever the epoch. The batches are skipped in an order
#     that the run never had, so that prompts of the epoch come twice and others not at all. Between epochs the first
#     order comes again.
#   - SDPO's default teacher, and SDFT's with teacher_model_kind="ema", is a moving average of the student, with
#     teacher_update_rate=0.05. Without LoRA it is built anew from the model's path: a resumed student learns from
#     the model before training, and the average needs dozens of steps to be near the student again. No word is logged.
# Seen (GRPO, 12 prompts, 2 a step, 3 epochs; resumed from step 9, the middle of epoch 2):
#   epoch 1: [6, 8, 1, 7, 0, 2, 10, 11, 3, 4, 5, 9]
#   epoch 2, steps 7 to 9: [4, 10, 3, 6, 8, 11], and then [7, 9, 0, 1, 2, 5] in the whole run
#   epoch 2, steps 10 to 12 when resumed: [10, 11, 3, 4, 5, 9]
#   twice in that epoch: [3, 4, 10, 11], never: [0, 1, 2, 7]
#   epoch 3 when resumed is the whole run's epoch 2: True
# Seen (SDPO, distance of the teacher's weights from the untrained ones, in the student's distance):
#   whole run after 20 steps: 0.54, resumed from step 20: 0.00
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile trl==1.16.0 transformers==5.24.0 \
  accelerate==1.15.0 torch==2.13.0 datasets==5.2.0 peft==0.21.2
cat > "$work/run.py" <<'PY'
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM, TrainerCallback
from trl import GRPOConfig, GRPOTrainer
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
COMMON = dict(
    per_device_train_batch_size=4, num_generations=2, max_completion_length=4, use_cpu=True, bf16=False,
    save_strategy="steps", report_to="none", logging_strategy="no", disable_tqdm=True,
)  # fmt: skip


def prompts(resumed=None):
    """The prompts that GRPO trained on, two a step, in order."""
    seen = []

    def reward(prompts, **_):
        seen.extend(sorted({int(prompt) for prompt in prompts}))
        return [float(index % 2) for index in range(len(prompts))]

    arguments = GRPOConfig("grpo", num_train_epochs=3, save_steps=9, **COMMON)
    trainer = GRPOTrainer("model", reward, args=arguments, train_dataset=PROMPTS, processing_class=tokenizer)
    trainer.train(resume_from_checkpoint=resumed)
    return seen


def distance(model, start):
    pairs = zip(model.parameters(), start.parameters(), strict=True)
    return sum((one - other).square().sum().item() for one, other in pairs) ** 0.5


class Watch(TrainerCallback):
    """Notes the teacher's distance from the untrained model, in the student's, before each step."""

    def __init__(self, trainer):
        self.trainer, self.start, self.seen = trainer, AutoModelForCausalLM.from_pretrained("model"), {}

    def on_step_begin(self, args, state, control, model, **_):
        moved = distance(model, self.start)
        self.seen[state.global_step] = distance(self.trainer.teacher_model, self.start) / moved if moved else 0.0


def teacher(resumed=None):
    """Of SDPO before step 21."""

    def reward(prompts, **_):
        return [float(index % 2) for index in range(len(prompts))]

    arguments = SDPOConfig("sdpo", max_steps=21, save_steps=20, learning_rate=0.01, **COMMON)
    trainer = SDPOTrainer("model", reward, args=arguments, train_dataset=PROMPTS, processing_class=tokenizer)
    watch = Watch(trainer)
    trainer.add_callback(watch)
    trainer.train(resume_from_checkpoint=resumed)
    return watch.seen[20]


whole, resumed = prompts(), prompts("grpo/checkpoint-9")
first, second = whole[:12], whole[12:24]
epoch = second[:6] + resumed[:6]
twice, never = sorted({each for each in epoch if epoch.count(each) > 1}), sorted(set(range(12)) - set(epoch))
print("SEEN epoch 1:", first)
print(f"SEEN epoch 2, steps 7 to 9: {second[:6]}, and then {second[6:]} in the whole run")
print("SEEN epoch 2, steps 10 to 12 when resumed:", resumed[:6])
print(f"SEEN twice in that epoch: {twice}, never: {never}")
print("SEEN epoch 3 when resumed is the whole run's epoch 2:", resumed[6:] == second)
assert sorted(first) == sorted(second) == list(range(12)) and second[6:] != first[6:]
assert resumed[:6] == first[6:] and resumed[6:] == second and len(twice) == len(never) == 4
trained, again = teacher(), teacher("sdpo/checkpoint-20")
print(f"SEEN whole run after 20 steps: {trained:.2f}, resumed from step 20: {again:.2f}")
assert trained > 0.3 and again == 0
PY
cd "$work" && export HF_HOME="$work/hub" HF_HUB_OFFLINE=1
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
