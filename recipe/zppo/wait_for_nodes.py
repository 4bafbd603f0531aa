"""Wait until a Ray cluster is complete: ``python -m recipe.zppo.wait_for_nodes --nodes 8 --gpus 8 --limit 900``."""

from recipe.zppo.preflight.wait_for_nodes import main

if __name__ == "__main__":
    raise SystemExit(main())
