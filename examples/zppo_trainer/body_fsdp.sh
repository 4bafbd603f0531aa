# shellcheck shell=bash disable=SC2034  # ACTOR is read by body.sh
# What the run_*_fsdp.sh scripts share; they set MODEL_PATH, EXPERIMENT, MAX_TOKENS and source this file.

# Distillation needs the logits themselves, which otherwise are never all there: 65,536 tokens of them are 33 GB, twice.
if [[ " $* " == *" method="*distill* ]] && ((MAX_TOKENS > 32768)); then
    MAX_TOKENS=32768
fi

ACTOR=(
    model_engine=dp
    # tokens of a micro-batch on one GPU; at least rollout.max_model_len
    actor_rollout_ref.actor.ppo_max_token_len_per_gpu="${MAX_TOKENS}"
)

# shellcheck source=body.sh
source "$(dirname "${BASH_SOURCE[0]}")/body.sh"
