#!/usr/bin/env bash
# SmolLM2-135M on reasoning-gym's arithmetic, on one or two GPUs: data, weights, format for the student, teacher,
# accuracies, training with FSDP and vLLM, summary. What is done is kept: start it again to go on.
#   examples/smollm2/run_gpu.sh                      one GPU: the teacher answers from `vllm serve` on the same GPU
#   GPUS=2 examples/smollm2/run_gpu.sh               two GPUs: the teacher has one of its own, as in the paper
#   METHOD=grpo_replay examples/smollm2/run_gpu.sh   a rival without teacher; data and models are shared
# Further arguments go to the trainer.
set -xeuo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
PYTHON=${PYTHON:-python}
METHOD=${METHOD:-zppo}
GPUS=${GPUS:-1}
PORT=${PORT:-8765}
HOME_DIR=${ZPPO_HOME:-outputs/smollm2}
RUN=${RUN:-${HOME_DIR}/${METHOD}-gpu}
TEACHER_ROWS=${TEACHER_ROWS:-12000}
STUDENT_ROWS=${STUDENT_ROWS:-288}
export TOKENIZERS_PARALLELISM=false PYTHONPATH=${HERE}/../..${PYTHONPATH:+:${PYTHONPATH}}

source "${HERE}/common.sh"

make_data "${TEACHER_ROWS}" "${STUDENT_ROWS}"
make_models --micro-batch 64
measure --samples 4 # on the CPU: its sampler is for the CPU only, and it takes minutes

serve_teacher() {
    "${PYTHON}" -m vllm.entrypoints.openai.api_server --model "${TEACHER_MODEL}" --served-model-name teacher \
        --host 127.0.0.1 --port "${PORT}" --gpu-memory-utilization 0.15 --max-model-len 1536 \
        > "${HOME_DIR}/teacher.log" 2>&1 &
    server=$!
    STARTED+=("${server}")
    up=false
    for _ in $(seq 300); do
        "${PYTHON}" -c 'import sys, urllib.request as r; r.urlopen(sys.argv[1], timeout=5)' \
            "http://127.0.0.1:${PORT}/health" 2> /dev/null && up=true && break
        kill -0 "${server}" || { echo "the teacher's server ended; see ${HOME_DIR}/teacher.log" >&2; exit 1; }
        sleep 1
    done
    [[ ${up} == true ]] || { echo "the teacher's server is not up; see ${HOME_DIR}/teacher.log" >&2; exit 1; }
}

case ${GPUS}:${METHOD} in
    [12]:grpo | [12]:grpo_replay) TEACHER=() ;; # never asked
    1:*)
        # Ray gives a whole GPU to each pool, so a teacher pool can't share the student's. An endpoint needs no pool; the
        # model takes 0.3 GB, the rest of its share is key-value cache.
        TEACHER=(zppo.teacher.base_url="http://127.0.0.1:${PORT}/v1" zppo.teacher.path=teacher)
        if [[ ${DRY_RUN} != true ]]; then
            serve_teacher
        fi
        ;;
    2:*) TEACHER=(zppo.teacher.n_gpus_per_node=1) ;;
    *) echo "GPUS is 1 or 2, not ${GPUS}" >&2; exit 2 ;;
esac

train "${PYTHON}" -m verl.trainer.main_zppo \
    "${TRAINING[@]}" \
    "${TEACHER[@]}" \
    trainer.n_gpus_per_node=1 \
    transfer_queue.backend.SimpleStorage.num_data_storage_units=1 \
    data.train_batch_size=64 \
    actor_rollout_ref.actor.optim.lr=1.0e-5 \
    zppo.optimizer=fp32 \
    actor_rollout_ref.rollout.gpu_memory_utilization=0.4 \
    zppo.teacher.inference.gpu_memory_utilization=0.4 \
    trainer.total_training_steps=100 \
    trainer.save_freq=25 \
    trainer.test_freq=25 \
    "$@"
