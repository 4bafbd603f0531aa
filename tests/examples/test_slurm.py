"""The Slurm job: what it asks for, what its tasks run in, and that it says what is missing."""

import re
import subprocess
from pathlib import Path

import pytest

from .conftest import ROOT, TRAINER, WRITES_ITS_CALL, Site

SLURM = TRAINER / "run_qwen3_5_slurm.sbatch"

KNOWN = """
account acctg-freq array batch bb bbf begin chdir cluster-constraint clusters comment consolidate-segments constraint
container container-id contiguous core-spec cores-per-socket cpu-freq cpus-per-gpu cpus-per-task deadline delay-boot
dependency distribution error exclude exclusive export export-file extra extra-node-info get-user-env gid gpu-bind
gpu-freq gpus gpus-per-node gpus-per-socket gpus-per-task gres gres-flags hint hold ignore-pbs input job-name
kill-on-invalid-dep licenses mail-type mail-user mcs-label mem mem-bind mem-per-cpu mem-per-gpu mincpus network nice
no-kill no-requeue nodefile nodelist nodes ntasks ntasks-per-core ntasks-per-gpu ntasks-per-node ntasks-per-socket
open-mode output overcommit oversubscribe parsable partition prefer priority profile propagate qos quiet reboot requeue
reservation resv-ports segment signal sockets-per-node spread-job stepmgr switches test-only thread-specf
threads-per-core time time-min tmp tres-bind tres-per-task uid use-min-nodes verbose wait wait-all-nodes wckey wrap
"""
"""Long options of sbatch, from its manual page (Slurm 26.05)."""


@pytest.fixture
def nodes(tmp_path: Path) -> Site:
    """A place of its own, with a `scontrol` that knows three nodes and an `srun` that starts task 2 of them."""
    site = Site(tmp_path)
    site.stand_in("scontrol", "#!/bin/sh\nprintf 'node%s\\n' 11 12 13\n")
    site.stand_in("srun", _SRUN)
    return site


_SRUN = f"""#!/bin/bash
{WRITES_ITS_CALL}while [[ $1 == --* ]]; do shift; done
SLURM_PROCID=2 exec "$@"
"""
_RUNS_WHAT_FOLLOWS = f'#!/bin/bash\n{WRITES_ITS_CALL}until [[ $1 == bash ]]; do shift; done\nexec "$@"\n'


def submitted(site: Site, *arguments: str, **variables: str) -> tuple[str, list[list[str]]]:
    """Errors, and calls of stand-ins, of a job that was submitted from the checkout. Task 2 finds no head and ends."""
    environment = site.environment(
        SLURM_SUBMIT_DIR=str(ROOT), SLURM_JOB_NODELIST="node[11-13]", SLURM_NNODES="3", WAIT_S="0", **variables
    )
    done = subprocess.run(
        [SLURM, *arguments], env=environment, cwd=site.folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == (2 if "zppo: node 2" not in done.stderr else 1), done.stderr
    calls = site.folder / "calls"
    return done.stderr, [line.split("\0")[:-1] for line in calls.read_text().splitlines()] if calls.exists() else []


def test_one_launcher_a_node(nodes: Site) -> None:
    errors, ((*srun,),) = submitted(nodes, "method=zppo")
    assert "zppo: node 2: no Ray head at node11:6379 after 0 s" in errors
    options = ["--kill-on-bad-exit=1", "--cpu-bind=none"]
    assert srun[:4] == ["srun", *options, "bash"]
    assert srun[-2:] == ["examples/zppo_trainer/run_qwen3_5_multinode.sh", "method=zppo"]


def test_the_job_asks_for_the_papers_machines_in_words_that_slurm_knows() -> None:
    lines = [line for line in SLURM.read_text().splitlines() if line.startswith("#SBATCH ")]
    assert {"#SBATCH --nodes=8", "#SBATCH --ntasks-per-node=1", "#SBATCH --gpus-per-node=8", "#SBATCH --mem=0"} <= {
        *lines
    }
    named = [re.fullmatch(r"#SBATCH --([a-z-]+)(=\S+)?", line)[1] for line in lines]
    assert set(named) <= set(KNOWN.split()) and len(set(named)) == len(named)


# ---- what tasks run in


def test_apptainer_runs_the_launcher_in_the_image_on_every_node(nodes: Site) -> None:
    nodes.stand_in("apptainer", _RUNS_WHAT_FOLLOWS)
    image = {"CONTAINER": "/shared/zppo.sif", "CONTAINER_MOUNTS": "/shared,/my disk/scratch:/data"}
    errors, (srun, apptainer) = submitted(nodes, "method=zppo", **image)
    assert "zppo: node 2: no Ray head at node11:6379" in errors  # the rank and the address reach the container
    assert srun[1:4] == ["--kill-on-bad-exit=1", "--cpu-bind=none", "apptainer"]
    mounts = f"{ROOT}:{ROOT},{ROOT}:/opt/open-zppo,/shared:/shared,/my disk/scratch:/data"
    assert apptainer[1:8] == ["exec", "--nv", "--bind", mounts, "--pwd", str(ROOT), "/shared/zppo.sif"]
    assert apptainer[-1] == "method=zppo"


def test_pyxis_is_srun_with_options(nodes: Site) -> None:
    image = {"CONTAINER": "docker://registry#open-zppo:fsdp", "CONTAINER_RUNTIME": "pyxis", "HF_HOME": "/shared/hf"}
    _, (srun,) = submitted(nodes, "method=zppo", **image)
    assert srun[3:8] == [
        "--container-image=docker://registry#open-zppo:fsdp",
        f"--container-mounts={ROOT}:{ROOT},{ROOT}:/opt/open-zppo",
        f"--container-workdir={ROOT}",
        "--container-env=HF_HOME",
        "bash",
    ]


def test_modules_venv_and_conda_reach_every_task(nodes: Site) -> None:
    """As clusters have them: a function of the shell, a script to source, and a hook. None of them minds `set -u`."""
    venv = nodes.folder / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "activate").write_text('[ -z "$NOT_SET" ] && export VIRTUAL_ENV=mine\n')
    nodes.stand_in("conda", "#!/bin/sh\necho 'conda() { [ -z \"$NOT_SET\" ] && export CONDA_DEFAULT_ENV=$2; }'\n")
    says = """printf '%s\\0' "${VIRTUAL_ENV-}" "${CONDA_DEFAULT_ENV-}" "${LOADED-}" >> "$CALLS"\necho >> "$CALLS"\n"""
    nodes.stand_in("srun", _SRUN.replace(WRITES_ITS_CALL, says))
    module = {"BASH_FUNC_module%%": '() { [ -z "$NOT_SET" ] && export LOADED="$LOADED[$2]"; }'}
    assert submitted(nodes, VENV=str(venv), MODULES="a b/1", **module)[1] == [["mine", "", "[a][b/1]"]]
    (nodes.folder / "calls").unlink()
    assert submitted(nodes, CONDA_ENV="zppo")[1] == [["", "zppo", ""]]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"CONTAINER": "a.sif", "VENV": "/v"}, "CONTAINER: an image has an environment of its own"),
        ({"CONTAINER": "a.sif", "CONTAINER_RUNTIME": "docker"}, "CONTAINER_RUNTIME: apptainer, singularity or pyxis"),
        ({"CONTAINER": "a.sif"}, "CONTAINER_RUNTIME: there is no apptainer on this node; MODULES may load it"),
        ({"VENV": "/v", "CONDA_ENV": "a"}, "VENV: set it or CONDA_ENV, not both"),
        ({"VENV": "/nowhere"}, "VENV: /nowhere has no bin/activate"),
        ({"CONDA_ENV": "a"}, "CONDA_ENV: no conda here"),
        ({"MODULES": "a", "BASH_FUNC_module%%": "() { return 1; }"}, "MODULES: 'module load a' failed"),
        ({"CHECKOUT": "/"}, "zppo: CHECKOUT: / has no examples/zppo_trainer/run_qwen3_5_multinode.sh"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_started(nodes: Site, variables: dict, message: str) -> None:
    errors, calls = submitted(nodes, **variables)
    assert message in errors and calls == []
