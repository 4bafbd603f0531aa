#!/usr/bin/env bash
# GRPO, GRPO†, GRPO† + BCQ and ZPPO on SmolLM2-135M, three seeds, on a CPU, one core a run. Half a day; what is done is
# kept, and a run that was stopped goes on from its last checkpoint: start it again. See ../README.md.
#   examples/smollm2/study/run_cpu.sh                  everything
#   examples/smollm2/study/run_cpu.sh jobs=2           two runs at a time
#   STOP_AFTER=models examples/smollm2/study/run_cpu.sh    data, student, teacher and their accuracies only
# Further arguments go to python -m recipe.zppo.study; another setting is another run.
set -xeuo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
PYTHON=${PYTHON:-python}
HOME_DIR=${ZPPO_HOME:-outputs/smollm2-study}
STOP_AFTER=${STOP_AFTER:-}
export OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false PYTHONPATH=${HERE}/../../..${PYTHONPATH:+:${PYTHONPATH}}
CLOSER='Put the answer in \boxed{}.'

mkdir -p "${HOME_DIR}"
"${PYTHON}" "${HERE}/data.py" "${HOME_DIR}/data"
"${PYTHON}" "${HERE}/../weights.py" "${HOME_DIR}/base" --no-system ${WEIGHTS:+--from "${WEIGHTS}"}

tune() { # FROM DATA OUT WARMUP: one pass over worked answers
    "${PYTHON}" "${HERE}/../sft.py" --model "${HOME_DIR}/$1" --data "${HOME_DIR}/data/$2.parquet" --out "${HOME_DIR}/$3" \
        --lr 2e-4 --warmup "$4" --threads 1 --micro-batch 4
}
measure() { # FILE MODEL DATA arguments for accuracy.py
    local file=${HOME_DIR}/$1
    [[ ! -s ${file} ]] || return 0
    rm -f "${file}.tmp" # accuracy.py adds to what is there
    "${PYTHON}" "${HERE}/../accuracy.py" "${HOME_DIR}/data/$3.parquet" "${HOME_DIR}/$2" \
        --closer "${CLOSER}" --max-tokens 64 --out "${file}.tmp" "${@:4}"
    mv "${file}.tmp" "${file}" # whole or not at all
}

# Are they what the study was planned for? As the trainer samples: four answers to each of 100 questions. A model that is
# too weak gets another pass, twice at most.
trained() { # NAME FROM WARMUP more for ready.py: one to three passes; MODEL is then the last one
    local pass from=$2 status
    for pass in '' -2 -3; do
        MODEL=$1${pass}
        tune "${from}" "$1" "${MODEL}" "$3"
        measure "${MODEL}-train.jsonl" "${MODEL}" train --samples 4 --limit 100
        status=0
        "${PYTHON}" "${HERE}/ready.py" "${@:4}" "${HOME_DIR}/${MODEL}-train.jsonl" || status=$?
        [[ ${status} == 3 ]] || return "${status}"
        from=${MODEL}
    done
    return 1
}
trained student base 2
STUDENT=${MODEL}
trained teacher "${STUDENT}" 10 "${HOME_DIR}/${STUDENT}-train.jsonl"
TEACHER=${MODEL}
# As it validates: where all runs begin.
measure "${STUDENT}-val.jsonl" "${STUDENT}" val --samples 1 --validation
[[ ${STOP_AFTER} != models ]] || exit 0

exec "${PYTHON}" -m recipe.zppo.study plan=smollm2 jobs=1 out="${HOME_DIR}/study" \
    own.model="${HOME_DIR}/${STUDENT}" own.teacher="${HOME_DIR}/${TEACHER}" own.train="${HOME_DIR}/data/train.parquet" \
    own.val="${HOME_DIR}/data/val.parquet" own.shifted="${HOME_DIR}/data/shifted.parquet" "$@"
