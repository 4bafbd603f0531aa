#!/usr/bin/env bash
# GRPO, GRPO†, GRPO† + BCQ and ZPPO on SmolLM2-135M, three seeds, on a CPU, one core a run. Hours a seed; what is done is
# kept, and a run that was stopped goes on from its last checkpoint: start it again. See ../README.md.
#   examples/smollm2/study/run_cpu.sh                  everything
#   SEEDS=1 examples/smollm2/study/run_cpu.sh jobs=2   one seed, two runs at a time
#   STOP_AFTER=models examples/smollm2/study/run_cpu.sh    data, students, teachers and their accuracies only
#   KEPT="0 1 2" SEEDS=3 examples/smollm2/study/run_cpu.sh  another seed beside those whose runs are in results/
# Each seed has a student and a teacher of its own. Further arguments go to python -m recipe.zppo.study; another setting
# is another run. THREADS: of fine-tuning.
set -xeuo pipefail
shopt -s nullglob

HERE=$(cd "$(dirname "$0")" && pwd)
PYTHON=${PYTHON:-python}
HOME_DIR=${ZPPO_HOME:-outputs/smollm2-study}
STOP_AFTER=${STOP_AFTER:-}
SEEDS=${SEEDS:-0 1 2}
KEPT=${KEPT:-}
RESULTS=${RESULTS:-${HERE}/results}
export OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false PYTHONPATH=${HERE}/../../..${PYTHONPATH:+:${PYTHONPATH}}
CLOSER='Put the answer in \boxed{}.'

for seed in ${KEPT}; do
    kept=("${RESULTS}"/runs/*-seed"${seed}"-*)
    [[ ${#kept[@]} != 0 && -e ${RESULTS}/student-${seed}-before.json ]] || { echo "KEPT: ${RESULTS} has no runs of seed ${seed}; keep.py puts them there" >&2; exit 2; }
done
mkdir -p "${HOME_DIR}"
"${PYTHON}" "${HERE}/data.py" "${HOME_DIR}/data"
"${PYTHON}" "${HERE}/../weights.py" "${HOME_DIR}/base" --no-system ${WEIGHTS:+--from "${WEIGHTS}"}

tune() { # FROM DATA OUT WARMUP SEED: one pass over worked answers
    "${PYTHON}" "${HERE}/../sft.py" --model "${HOME_DIR}/$1" --data "${HOME_DIR}/data/$2.parquet" --out "${HOME_DIR}/$3" \
        --lr 2e-4 --warmup "$4" --seed "$5" --threads "${THREADS:-1}" --micro-batch 4
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
trained() { # ROLE SEED FROM WARMUP more for ready.py: one to three passes; the last one is ROLE-SEED
    local name=$1-$2 pass from=$3 status
    for pass in 1 2 3; do
        tune "${from}" "$1" "${name}-pass-${pass}" "$4" "$2"
        measure "${name}-pass-${pass}.jsonl" "${name}-pass-${pass}" train --samples 4 --limit 100
        status=0
        "${PYTHON}" "${HERE}/ready.py" "${@:5}" "${HOME_DIR}/${name}-pass-${pass}.jsonl" || status=$?
        if [[ ${status} == 0 ]]; then
            ln -sfn "${name}-pass-${pass}" "${HOME_DIR}/${name}"
            ln -sfn "${name}-pass-${pass}.jsonl" "${HOME_DIR}/${name}.jsonl"
            return
        fi
        [[ ${status} == 3 ]] || return "${status}"
        from=${name}-pass-${pass}
    done
    return 1
}
for seed in ${SEEDS}; do
    trained student "${seed}" base 2
    trained teacher "${seed}" "student-${seed}" 10 "${HOME_DIR}/student-${seed}.jsonl"
    # As it validates: where the seed's runs begin.
    measure "student-${seed}-val.jsonl" "student-${seed}" val --samples 1 --validation
    "${PYTHON}" "${HERE}/before.py" "${HOME_DIR}/student-${seed}-val.jsonl" "${HOME_DIR}/student-${seed}-before.json"
done
[[ ${STOP_AFTER} != models ]] || exit 0

if [[ -n ${KEPT} ]]; then
    mkdir -p "${HOME_DIR}/study/runs"
    for run in "${RESULTS}"/runs/*; do
        [[ -e ${HOME_DIR}/study/runs/${run##*/} ]] || cp -r "${run}" "${HOME_DIR}/study/runs"
    done
    for seed in ${KEPT}; do
        cp "${RESULTS}/student-${seed}-before.json" "${HOME_DIR}"
    done
    read -ra seeds <<< "${KEPT} ${SEEDS}"
    SEEDS=$(printf '%s\n' "${seeds[@]}" | sort -un | xargs)
fi
exec "${PYTHON}" -m recipe.zppo.study plan=smollm2 jobs=1 out="${HOME_DIR}/study" seeds="[${SEEDS// /,}]" \
    own.name=smollm2 own.model="${HOME_DIR}/student-@seed" own.teacher="${HOME_DIR}/teacher-@seed" \
    own.train="${HOME_DIR}/data/train.parquet" own.val="${HOME_DIR}/data/val.parquet" \
    own.shifted="${HOME_DIR}/data/shifted.parquet" own.accuracy_before="${HOME_DIR}/student-@seed-before.json" "$@"
