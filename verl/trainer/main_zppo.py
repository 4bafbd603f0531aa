"""Train with ZPPO: `python -m verl.trainer.main_zppo key=value ...`.

Exit status: 0 the run is complete; 1 it failed; 2 the configuration, the data or the model paths cannot work, found
before Ray starts; 130 it was interrupted.
"""

import sys

import hydra
from omegaconf import DictConfig

from recipe.zppo.config.compose import CONFIG_DIR, check_overrides, register_search_path
from recipe.zppo.errors import ConfigError
from recipe.zppo.launch import launch


@hydra.main(config_path=str(CONFIG_DIR), config_name="zppo_trainer", version_base=None)
def run(config: DictConfig) -> None:
    status = launch(config)
    if status:
        sys.exit(status)


def main() -> None:
    try:
        check_overrides(sys.argv[1:])
    except ConfigError as error:
        print(f"zppo: {error}", file=sys.stderr)
        sys.exit(2)
    register_search_path()
    run()


if __name__ == "__main__":
    main()
