"""``python -m recipe.zppo.local key=value ...``: one training run in this process. Exit status as `main_zppo`."""

import sys

import hydra
from omegaconf import DictConfig

from recipe.zppo.config.compose import CONFIG_DIR, check_overrides, register_search_path
from recipe.zppo.errors import ConfigError
from recipe.zppo.local.run import launch


@hydra.main(config_path=str(CONFIG_DIR), config_name="zppo_trainer", version_base=None)
def run(config: DictConfig) -> None:
    status = launch(config)
    if status:
        sys.exit(status)


def main() -> None:
    if not any(argument.startswith("platform=") for argument in sys.argv[1:]):
        sys.argv.insert(1, "platform=cpu")
    try:
        check_overrides(sys.argv[1:])
    except ConfigError as error:
        print(f"zppo: {error}", file=sys.stderr)
        sys.exit(2)
    register_search_path()
    run()


if __name__ == "__main__":
    main()
