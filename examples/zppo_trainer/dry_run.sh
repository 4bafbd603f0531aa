# shellcheck shell=bash
# Sourced by scripts that start something, with their arguments. Sets DRY_RUN to true where these ask for a plan only, and
# NNODES to the nodes that it is for (zppo.hardware=8x8x80: 8) unless it is set: a plan of one node would say nothing.

DRY_RUN=false
HARDWARE=
for argument in "$@"; do
    case ${argument#++} in
        zppo.dry_run=*) DRY_RUN=${argument#*=} ;;
        zppo.hardware=*) HARDWARE=${argument#*=} ;;
    esac
done
DRY_RUN=${DRY_RUN,,}
if [[ ${DRY_RUN} == true && -z ${NNODES:-} && ${HARDWARE} =~ ^([1-9][0-9]*)x ]]; then
    NNODES=${BASH_REMATCH[1]}
    echo "zppo: planned with NNODES=${NNODES}, as zppo.hardware says; NNODES= sets another number" >&2
fi
