# shellcheck shell=bash disable=SC2034,SC2054  # read by the scripts that source it; commas are Hydra's
# The parts of the recipe that both machines share; run_cpu.sh and run_gpu.sh read this file. Everything that is there
# already is kept, so a recipe that was stopped goes on when it is started again.

# Processes that end with the script.
STARTED=()
trap 'kill "${STARTED[@]}" 2> /dev/null || true' EXIT

# The closer's sentences take half of each prompt; worked answers have at most 75 tokens.
MAX_PROMPT=192
MAX_RESPONSE=96

# What is trained and measured on.
TASKS=(
    --task chain_sum:min_terms=3,max_terms=4,min_digits=1,max_digits=1
    --task products:min_digits=1,max_digits=2
    --task leg_counting:min_animals=2,max_animals=2,max_instances=5
)
# What teaches the student the format, on other questions of the same kinds. With one step only (sums of two terms, one
# animal) it would learn to stop after one.
EASY_TASKS=(
    --task chain_sum:min_terms=2,max_terms=3,min_digits=1,max_digits=2
    --task products:min_digits=1,max_digits=2
    --task leg_counting:min_animals=2,max_animals=2,max_instances=9
)

make_data() { # TEACHER_ROWS STUDENT_ROWS
    if [[ ! -f ${HOME_DIR}/data/manifest.json ]]; then
        "${PYTHON}" -m recipe.zppo.data.reasoning_gym "${HOME_DIR}/data" "${TASKS[@]}" --train 2000 --val 96 --sft "$1"
    fi
    if [[ ! -f ${HOME_DIR}/format/manifest.json ]]; then
        "${PYTHON}" -m recipe.zppo.data.reasoning_gym "${HOME_DIR}/format" "${EASY_TASKS[@]}" --train 0 --val 0 --sft "$2" \
            --seed 1 --exclude "${HOME_DIR}"/data/{train,val}.parquet
    fi
}

make_models() { # arguments for sft.py
    "${PYTHON}" "${HERE}/weights.py" "${HOME_DIR}/base" ${WEIGHTS:+--from "${WEIGHTS}"}
    "${PYTHON}" "${HERE}/sft.py" --model "${HOME_DIR}/base" --data "${HOME_DIR}/format/sft.parquet" \
        --out "${HOME_DIR}/student" --lr 2e-4 --warmup 2 "$@"
    "${PYTHON}" "${HERE}/sft.py" --model "${HOME_DIR}/base" --data "${HOME_DIR}/data/sft.parquet" \
        --out "${HOME_DIR}/teacher" --lr 2e-4 --warmup 10 "$@"
}

measure() { # arguments for accuracy.py; before training
    if [[ ! -f ${HOME_DIR}/accuracy.jsonl ]]; then
        "${PYTHON}" "${HERE}/accuracy.py" "${HOME_DIR}/data/val.parquet" "${HOME_DIR}"/{base,student,teacher} \
            --max-tokens "${MAX_RESPONSE}" --out "${HOME_DIR}/accuracy.jsonl" "$@"
    fi
}

# Overrides of the training; run_cpu.sh and run_gpu.sh add the machine's.
TRAINING=(
    data.train_files="${HOME_DIR}/data/train.parquet"
    data.val_files="${HOME_DIR}/data/val.parquet"
    data.max_prompt_length="${MAX_PROMPT}"
    data.max_response_length="${MAX_RESPONSE}"
    reward.custom_reward_function.path=pkg://recipe.zppo.data.reasoning_gym_reward
    actor_rollout_ref.model.path="${HOME_DIR}/student"
    actor_rollout_ref.rollout.max_model_len=1536
    zppo.teacher.path="${HOME_DIR}/teacher"
    # The teacher has learnt these tasks and nothing else: it can't summarise. Responses are short enough to be shown.
    zppo.compression.mode=truncate
    zppo.reformulation.max_candidate_tokens="${MAX_RESPONSE}"
    zppo.replay.capacity=200
    # The paper's 1.5 would keep worked answers from repeating a digit.
    zppo.validation.presence_penalty=0.0
    trainer.total_epochs=10
    trainer.experiment_name="smollm2-${METHOD}"
    trainer.default_local_dir="${RUN}"
    method="${METHOD}"
)

train() { # COMMAND...: in the background, its log in a file; progress and the summary here
    mkdir -p "${RUN}"
    "$@" > "${RUN}/train.log" 2>&1 &
    local trainer=$!
    STARTED+=("${trainer}")
    "${PYTHON}" -m recipe.zppo.watch "${RUN}" --log "${RUN}/train.log" --pid "${trainer}"
    wait "${trainer}"
    unset 'STARTED[-1]'
    "${PYTHON}" -m recipe.zppo.summary "${RUN}"
}
