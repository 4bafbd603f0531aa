# shellcheck shell=bash disable=SC2034,SC2054  # read by the scripts that source it; commas are Hydra's
# The parts of the recipe that both machines share; run_cpu.sh and run_gpu.sh read this file. Everything that is there
# already is kept, so a recipe that was stopped goes on when it is started again.

# With zppo.dry_run=true nothing is made, asked or trained: the plan is printed, for what the recipe would make.
# shellcheck source=../zppo_trainer/dry_run.sh
source "${HERE}/../zppo_trainer/dry_run.sh"
NEW_ROWS=2000

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
    [[ ${DRY_RUN} != true ]] || return 0
    if [[ ! -f ${HOME_DIR}/data/manifest.json ]]; then
        "${PYTHON}" -m recipe.zppo.data.reasoning_gym "${HOME_DIR}/data" "${TASKS[@]}" --train "${NEW_ROWS}" --val 96 --sft "$1"
    fi
    if [[ ! -f ${HOME_DIR}/format/manifest.json ]]; then
        "${PYTHON}" -m recipe.zppo.data.reasoning_gym "${HOME_DIR}/format" "${EASY_TASKS[@]}" --train 0 --val 0 --sft "$2" \
            --seed 1 --exclude "${HOME_DIR}"/data/{train,val}.parquet
    fi
}

# What the teacher learns beside its tasks. With COMPRESSION=teacher it is another teacher, in a folder of its own.
COMPRESSION=${COMPRESSION:-truncate}
case ${COMPRESSION} in
    truncate) TEACHER_MODEL=${HOME_DIR}/teacher TEACHER_DATA=${HOME_DIR}/data/sft.parquet ;;
    teacher) TEACHER_MODEL=${HOME_DIR}/teacher-summaries TEACHER_DATA=${HOME_DIR}/data/sft-summaries.parquet ;;
    *) echo "COMPRESSION is truncate or teacher, not ${COMPRESSION}" >&2; exit 2 ;;
esac

make_models() { # arguments for sft.py
    [[ ${DRY_RUN} != true ]] || return 0
    if [[ ${COMPRESSION} == teacher && ! -f ${TEACHER_DATA} ]]; then
        "${PYTHON}" "${HERE}/summaries.py" "${HOME_DIR}/data/sft.parquet" "${TEACHER_DATA}"
    fi
    "${PYTHON}" "${HERE}/weights.py" "${HOME_DIR}/base" ${WEIGHTS:+--from "${WEIGHTS}"}
    "${PYTHON}" "${HERE}/sft.py" --model "${HOME_DIR}/base" --data "${HOME_DIR}/format/sft.parquet" \
        --out "${HOME_DIR}/student" --lr 2e-4 --warmup 2 "$@"
    "${PYTHON}" "${HERE}/sft.py" --model "${HOME_DIR}/base" --data "${TEACHER_DATA}" \
        --out "${TEACHER_MODEL}" --lr 2e-4 --warmup 10 "$@"
}

measure() { # arguments for accuracy.py; before training
    if [[ ${DRY_RUN} != true && ! -f ${HOME_DIR}/accuracy.jsonl ]]; then
        "${PYTHON}" "${HERE}/accuracy.py" "${HOME_DIR}/data/val.parquet" "${HOME_DIR}"/{base,student} "${TEACHER_MODEL}" \
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
    zppo.teacher.path="${TEACHER_MODEL}"
    # A teacher that has learnt these tasks and nothing else can't summarise. Responses are short enough to be shown.
    zppo.compression.mode="${COMPRESSION}"
    zppo.compression.max_tokens="${MAX_RESPONSE}"
    zppo.reformulation.max_candidate_tokens="${MAX_RESPONSE}"
    zppo.replay.capacity=200
    # The paper's 1.5 would keep worked answers from repeating a digit.
    zppo.validation.presence_penalty=0.0
    trainer.total_epochs=10
    trainer.experiment_name="smollm2-${METHOD}"
    trainer.default_local_dir="${RUN}"
    method="${METHOD}"
)

if [[ ${DRY_RUN} == true ]]; then
    TRAINING+=(zppo.plan.questions="${NEW_ROWS}" zppo.hardware="1x${GPUS:-2}x${GPU_GB:-80}")
fi

train() { # COMMAND...: in the background, its log in a file; progress and the summary here
    if [[ ${DRY_RUN} == true ]]; then
        "$@"
        return
    fi
    mkdir -p "${RUN}"
    "$@" > "${RUN}/train.log" 2>&1 &
    local trainer=$!
    STARTED+=("${trainer}")
    "${PYTHON}" -m recipe.zppo.watch "${RUN}" --log "${RUN}/train.log" --pid "${trainer}"
    wait "${trainer}"
    unset 'STARTED[-1]'
    "${PYTHON}" -m recipe.zppo.summary "${RUN}"
}
