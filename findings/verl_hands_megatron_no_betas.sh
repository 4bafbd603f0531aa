#!/usr/bin/env bash
# With verl's Megatron engine actor.optim.betas does nothing: Adam has Megatron's own betas.
#
# Versions: verl 0.9.1, megatron-core 0.16.1 (0.18.0 alike), torch 2.13.0, tensordict 0.10.0 (CPU).
# Behaviour: verl/utils/megatron/optimizer.py, init_megatron_optim_config copies learning rate, weight decay and clipping
#   of verl's McoreOptimizerConfig into Megatron's OptimizerConfig, but not `betas`, though the class has them, documents
#   them, and the FSDP engine uses them. Megatron's adam_beta1 and adam_beta2 stay at 0.9 and 0.999. What works is
#   optim.override_optimizer_config.adam_beta1 and adam_beta2.
# Seen:
#   asked for (0.8, 0.95), Adam gets (0.9, 0.999)
#   by override_optimizer_config: (0.8, 0.95)
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check verl==0.9.1 torch==2.13.0 tensordict==0.10.0 \
  megatron-core==0.16.1 cachetools==8.0.1
cat > "$work/run.py" <<'PY'
from verl.utils.megatron.optimizer import init_megatron_optim_config
from verl.workers.config import McoreOptimizerConfig

asked = (0.8, 0.95)
made = init_megatron_optim_config(McoreOptimizerConfig(lr=1e-6, betas=asked))
print(f"asked for {asked}, Adam gets {(made.adam_beta1, made.adam_beta2)}")
assert (made.adam_beta1, made.adam_beta2) == (0.9, 0.999)
own = {"adam_beta1": asked[0], "adam_beta2": asked[1]}
made = init_megatron_optim_config(McoreOptimizerConfig(lr=1e-6, override_optimizer_config=own))
print(f"by override_optimizer_config: {(made.adam_beta1, made.adam_beta2)}")
assert (made.adam_beta1, made.adam_beta2) == asked
PY
cd "$work" && "$work/venv/bin/python" -W ignore run.py 2>&1 | grep -E "^asked|^by|Error|assert"
