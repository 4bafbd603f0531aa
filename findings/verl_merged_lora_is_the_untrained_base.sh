#!/usr/bin/env bash
# verl's model merger turns a LoRA checkpoint into a model folder that holds the untrained base, and says "merged".
#
# Versions: verl 0.9.1, torch 2.13.0, transformers 5.10.4, peft 0.21.2 (CPU).
# Behaviour: `python -m verl.model_merger merge` writes one Hugging Face folder. One would expect the trained model there,
#   as for a run without LoRA, and as peft's merge_and_unload gives. The base weights are written as they were before the
#   training, the adapter goes to lora_adapter/ inside the folder, and the exit status is 0. AutoModelForCausalLM and
#   servers load the folder without a word: they answer as if nothing had been trained. Where the checkpoint has no
#   lora_train_meta.json, lora_alpha is written as 0, so that loading the adapter does not help either: it is multiplied
#   by nothing.
# Seen:
#   merged folder equals the untrained base: True
#   lora_alpha with lora_train_meta.json: 8, without: 0
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check verl==0.9.1 torch==2.13.0 transformers==5.10.4 peft==0.21.2 \
  tensordict==0.10.0 ray==2.60.0 accelerate==1.15.0 tokenizers numpy==2.3.5 TransferQueue==0.1.11
cat > "$work/run.py" <<'PY'
import json, subprocess, sys
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

torch.manual_seed(0)
sizes = dict(hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=16)
base = LlamaForCausalLM(LlamaConfig(**sizes, architectures=["LlamaForCausalLM"])).bfloat16()
before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"], task_type="CAUSAL_LM"))
for name, weight in model.named_parameters():
    if "lora_B" in name:  # "training"
        torch.nn.init.normal_(weight)


def merged(name, meta):
    """A checkpoint as verl's FSDP manager lays it out, of one rank, and what the merger makes of it."""
    actor = Path(name, "actor")
    (actor / "huggingface").mkdir(parents=True)
    model.get_base_model().config.save_pretrained(actor / "huggingface")
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, "a")), unk_token="a").save_pretrained(
        actor / "huggingface"
    )
    (actor / "fsdp_config.json").write_text(json.dumps({"FSDP_version": 2, "world_size": 1}))
    torch.save(model.state_dict(), actor / "model_world_size_1_rank_0.pt")
    if meta:
        (actor / "lora_train_meta.json").write_text(json.dumps({"r": 4, "lora_alpha": 8, "task_type": "CAUSAL_LM"}))
    command = [sys.executable, "-m", "verl.model_merger", "merge", "--backend", "fsdp", "--local_dir", str(actor)]
    subprocess.run([*command, "--target_dir", f"{name}/merged"], check=True, capture_output=True)
    return Path(name, "merged")


folder = merged("with", meta=True)
alphas = [
    json.loads((each / "lora_adapter/adapter_config.json").read_text())["lora_alpha"]
    for each in (folder, merged("without", meta=False))
]
loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).state_dict()
untrained = all(torch.equal(loaded[name], before[name]) for name in before)
trained = model.merge_and_unload().state_dict()
differs = not torch.equal(trained["model.layers.0.self_attn.q_proj.weight"], before["model.layers.0.self_attn.q_proj.weight"])
print("merged folder equals the untrained base:", untrained)
print(f"lora_alpha with lora_train_meta.json: {alphas[0]}, without: {alphas[1]}")
assert untrained and differs and alphas == [8, 0]
PY
cd "$work" && HF_HUB_OFFLINE=1 "$work/venv/bin/python" -W ignore run.py
