#!/usr/bin/env bash
# A LoRA run that transformers resumes beside a reference adapter gets the reference back, and loses what it learned.
#
# Versions: transformers 5.10.4, the newest that verl 0.9.1 allows, trl 1.16.0, peft 0.21.2, accelerate 1.15.0, torch
#   2.13.0, datasets 5.2.0 (CPU). With transformers 5.24.0 the same runs go on from their checkpoint.
# Behaviour: GRPO with beta, RLOO, DPO and KTO of trl can go on with an adapter that exists, as after SFT with LoRA.
#   They add a frozen copy of it, "ref", to measure the KL from. A checkpoint has the trained adapter ("default") in its
#   folder, and ref/ below it: both are right. One would expect resume_from_checkpoint to load both. The Trainer looks
#   for folders with adapters first, and where there is one it reads those alone: ref. The trained adapter stays the one
#   that the run began with, while step, schedule and Adam's moments are the checkpoint's. No word is logged.
# Seen (LoRA of a tiny model, 6 updates, resumed from step 4; distances of the adapter's weights from the run's start):
#   GRPO: at step 4 0.215, in the checkpoint 0.215, resumed at step 4 0.000
#   DPO: at step 4 0.258, in the checkpoint 0.258, resumed at step 4 0.000
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile transformers==5.10.4 trl==1.16.0 \
  peft==0.21.2 accelerate==1.15.0 torch==2.13.0 datasets==5.2.0
cat > "$work/run.py" <<'PY'
import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM, TrainerCallback
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer

NUMBERS = [str(number) for number in range(12)]
VOCABULARY = {word: index for index, word in enumerate(["<pad>", "<eos>", *NUMBERS])}
words = Tokenizer(models.WordLevel(VOCABULARY, unk_token="<pad>"))
words.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", padding_side="left")
torch.manual_seed(0)
sizes = dict(vocab_size=len(VOCABULARY), hidden_size=16, intermediate_size=16, num_hidden_layers=1)
heads = dict(num_attention_heads=2, num_key_value_heads=2, eos_token_id=1, pad_token_id=0)
Qwen2ForCausalLM(Qwen2Config(**sizes, **heads)).save_pretrained("model")
lora = LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
sft = get_peft_model(AutoModelForCausalLM.from_pretrained("model"), lora)
for name, weight in sft.named_parameters():
    if "lora_B" in name:
        torch.nn.init.normal_(weight, std=0.1)
sft.save_pretrained("sft")
COMMON = dict(
    max_steps=6, save_steps=4, per_device_train_batch_size=2, learning_rate=0.01, use_cpu=True, bf16=False,
    save_strategy="steps", report_to="none", logging_strategy="no", disable_tqdm=True,
)  # fmt: skip


class Watch(TrainerCallback):
    """Notes the trained adapter before each step."""

    def __init__(self):
        self.seen = {}

    def on_step_begin(self, args, state, control, model, **_):
        trained = {name: each for name, each in model.named_parameters() if ".default." in name}
        self.seen[state.global_step] = {
            name.replace(".default", ""): each.detach().clone() for name, each in trained.items()
        }


def grpo(model):
    def reward(prompts, **_):
        return [float(index % 2) for index in range(len(prompts))]

    arguments = GRPOConfig("grpo", beta=0.04, num_generations=2, max_completion_length=4, **COMMON)
    prompts = Dataset.from_dict({"prompt": NUMBERS})
    return GRPOTrainer(model, reward, args=arguments, train_dataset=prompts, processing_class=tokenizer)


def dpo(model):
    pairs = Dataset.from_dict({"prompt": NUMBERS, "chosen": [" 1"] * 12, "rejected": [" 2"] * 12})
    return DPOTrainer(model, args=DPOConfig("dpo", **COMMON), train_dataset=pairs, processing_class=tokenizer)


def run(build, resumed=None):
    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained("model")
    trainer, watch = build(PeftModel.from_pretrained(base, "sft", is_trainable=True)), Watch()
    trainer.add_callback(watch)
    trainer.train(resume_from_checkpoint=resumed)
    return watch.seen


def distance(one, other):
    return sum((one[name] - other[name]).square().sum().item() for name in one) ** 0.5


for name, build in (("GRPO", grpo), ("DPO", dpo)):
    folder = f"{name.lower()}/checkpoint-4"
    whole, resumed = run(build), run(build, folder)
    start, trained, again = whole[0], whole[4], resumed[4]
    saved = load_file(f"{folder}/adapter_model.safetensors")
    moved, kept, found = (distance(start, each) for each in (trained, saved, again))
    print(f"SEEN {name}: at step 4 {moved:.3f}, in the checkpoint {kept:.3f}, resumed at step 4 {found:.3f}")
    assert moved > 0.1 and distance(trained, saved) == 0 and found == 0 and sorted(resumed) == [4, 5]
PY
cd "$work" && export HF_HOME="$work/hub" HF_HUB_OFFLINE=1
"$work/venv/bin/python" -W ignore run.py >log 2>&1 || { tail -n 20 log; exit 1; }
sed -n 's/.*SEEN //p' log
