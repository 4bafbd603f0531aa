"""Start a checked run under Ray, and say in one line why it ended."""

import sys

from omegaconf import DictConfig
from verl.trainer.main_ppo import run_ppo

from recipe.zppo.errors import plain_message
from recipe.zppo.on_verl.causes import find_zppo_error, out_of_memory
from recipe.zppo.on_verl.task_runner import TaskRunnerWith
from recipe.zppo.teacher.secret import Secret


def start(config: DictConfig) -> int:
    """Train; the exit status of the process: 0, 1 for a cause that we know, 130 for an interrupted run."""
    key = config.zppo.teacher.api_key_env
    secret = Secret.from_environment(key)
    try:
        run_ppo(config, task_runner_class=TaskRunnerWith({key: secret} if secret else {}))
    except KeyboardInterrupt:
        print(
            "zppo: interrupted; a later run with trainer.resume_mode=auto goes on from the last checkpoint",
            file=sys.stderr,
        )
        return 130
    except Exception as error:
        known = find_zppo_error(error)
        message = plain_message(known) if known else out_of_memory(error)
        if message is None:
            raise
        print(f"zppo: the run stopped: {message}", file=sys.stderr)
        return 1
    return 0
