# shellcheck shell=bash disable=SC2034  # SRUN and INSIDE are read by run_qwen3_5_slurm.sbatch
# Sourced by the Slurm script: what a task runs in. One variable each, all of them optional:
#   MODULES="cuda/13.0 apptainer"   modules to load
#   VENV=/shared/venv               a virtual environment (python -m venv), or
#   CONDA_ENV=zppo                  an environment of conda's by name or folder, or
#   CONTAINER=/shared/zppo.sif      an image: with CONTAINER_RUNTIME=apptainer (default) what Apptainer takes, with
#                                   CONTAINER_RUNTIME=pyxis what enroot takes, a .sqsh file or docker://...
#   CONTAINER_MOUNTS=/shared,/scratch:/data   folders that the container sees beside CHECKOUT
# What is set here reaches all nodes through srun, so that folders must be on a disk that all nodes see.

SRUN=()
INSIDE=()

stop() {
    echo "zppo: $*" >&2
    exit 2
}

if [[ -n ${CONTAINER:-} && -n ${VENV:-}${CONDA_ENV:-} ]]; then
    stop "CONTAINER: an image has an environment of its own; leave VENV and CONDA_ENV out"
fi
if [[ -n ${VENV:-} && -n ${CONDA_ENV:-} ]]; then
    stop "VENV: set it or CONDA_ENV, not both"
fi

# what others wrote knows nothing of `set -eu`
set +xeu
if [[ -n ${MODULES} ]]; then
    for init in /etc/profile.d/modules.sh /etc/profile.d/lmod.sh /etc/profile.d/z00_lmod.sh; do
        # shellcheck disable=SC1090  # of the site
        [[ -n $(command -v module) || ! -r ${init} ]] || source "${init}"
    done
    [[ -n $(command -v module) ]] || stop "MODULES: there is no command 'module' here; submit from a login shell"
    for name in ${MODULES}; do
        module load "${name}" || stop "MODULES: 'module load ${name}' failed"
    done
fi
if [[ -n ${VENV} ]]; then
    [[ -r ${VENV}/bin/activate ]] || stop "VENV: ${VENV} has no bin/activate: no virtual environment, or not on this node"
    # shellcheck disable=SC1091  # of the user
    source "${VENV}/bin/activate" || stop "VENV: ${VENV} could not be activated"
fi
if [[ -n ${CONDA_ENV} ]]; then
    hook=$("${CONDA_EXE:-conda}" shell.bash hook) || stop "CONDA_ENV: no conda here; MODULES may load one, CONDA_EXE name it"
    eval "${hook}"
    conda activate "${CONDA_ENV}" || stop "CONDA_ENV: 'conda activate ${CONDA_ENV}' failed"
fi
set -xeu

if [[ -n ${CONTAINER:-} ]]; then
    # the checkout twice: where it is, for relative paths, and where the image has its source
    mounts=${CHECKOUT}:${CHECKOUT},${CHECKOUT}:/opt/open-zppo
    IFS=, read -ra mine <<<"${CONTAINER_MOUNTS:-}"
    for mount in ${mine[@]+"${mine[@]}"}; do
        [[ ${mount} == *:* ]] || mount=${mount}:${mount}
        mounts+=,${mount}
    done
    case ${CONTAINER_RUNTIME:=apptainer} in
        apptainer | singularity)
            [[ -n $(command -v "${CONTAINER_RUNTIME}") ]] ||
                stop "CONTAINER_RUNTIME: there is no ${CONTAINER_RUNTIME} on this node; MODULES may load it"
            INSIDE=("${CONTAINER_RUNTIME}" exec --nv --bind "${mounts}" --pwd "${CHECKOUT}" "${CONTAINER}")
            ;;
        pyxis)
            SRUN=(--container-image="${CONTAINER}" --container-mounts="${mounts}" --container-workdir="${CHECKOUT}")
            # the image's own HF_HOME would win otherwise
            [[ -z ${HF_HOME:-} ]] || SRUN+=(--container-env=HF_HOME)
            ;;
        *) stop "CONTAINER_RUNTIME: apptainer, singularity or pyxis, not ${CONTAINER_RUNTIME}" ;;
    esac
fi
