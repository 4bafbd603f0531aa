# shellcheck shell=bash
# What the quickstarts share, once they have set WORLD and RUN and defined `train`.

# shellcheck source=../zppo_trainer/dry_run.sh
source "$(dirname "$0")/../zppo_trainer/dry_run.sh"

# quickstart MODULE QUESTIONS [OVERRIDE...]: MODULE builds the world, with so many training questions in it, unless it is
# there; then train, show progress, summarise, and make the report.
quickstart() {
    local module=$1 questions=$2 absent=() trainer report
    shift 2
    if [[ ${DRY_RUN} == true ]]; then
        # the world takes minutes: without it the plan counts the questions that are asked for, on two slots of a CPU
        [[ -d ${WORLD} ]] || absent=("zppo.plan.questions=${questions}" zppo.hardware=1x2x1)
        train "${absent[@]}" "$@"
    fi

    "${PYTHON}" -m "${module}" "${WORLD}"

    # The trainer's log is long; it goes to a file, and progress is shown instead.
    mkdir -p "${RUN}"
    train "$@" > "${RUN}/train.log" 2>&1 &
    trainer=$!
    # shellcheck disable=SC2064  # the number of now: the variable is gone when the trap is sprung
    trap "kill ${trainer} 2> /dev/null || true" EXIT

    "${PYTHON}" -m recipe.zppo.watch "${RUN}" --log "${RUN}/train.log" --pid "${trainer}"
    wait "${trainer}"

    "${PYTHON}" -m recipe.zppo.summary "${RUN}"
    report=$("${PYTHON}" -m recipe.zppo.report "${RUN}")
    echo "The report, one page for a browser: ${report}"
}
