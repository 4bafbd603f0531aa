"""``python -m recipe.zppo.local key=value ...``: one training run in this process. Exit status as `main_zppo`."""

import sys

from recipe.zppo.config.ending import command


@command()
def main() -> int:
    from recipe.zppo.config.command import run_command  # within: Ctrl-C may come while this is imported, for seconds
    from recipe.zppo.local.run import launch

    about = "Train a student with ZPPO in one process, on the CPU or one GPU: no Ray, the same steps."
    return run_command("python -m recipe.zppo.local", about, launch, defaults=["platform=cpu"])


if __name__ == "__main__":
    sys.exit(main())
