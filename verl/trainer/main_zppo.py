"""Train with ZPPO: `python -m verl.trainer.main_zppo key=value ...`; `--help` shows the keys that matter.

Exit status: 0 the run is complete; 1 it failed; 2 the configuration, the data or the model paths cannot work, found
before Ray starts; 130 it was interrupted.
"""

import sys

from recipe.zppo.config.ending import command


@command()
def main() -> int:
    from recipe.zppo.config.command import run_command  # within: Ctrl-C may come while this is imported, for seconds
    from recipe.zppo.launch import launch

    about = "Train a student with ZPPO on verl's stack: Ray, rollout servers, FSDP or Megatron."
    return run_command("python -m verl.trainer.main_zppo", about, launch)


if __name__ == "__main__":
    sys.exit(main())
