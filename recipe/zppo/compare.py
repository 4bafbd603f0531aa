"""Held-out accuracies of runs, with an interval over benchmarks: ``python -m recipe.zppo.compare RUN_DIR [OTHER]``."""

from recipe.zppo.view.compare import main

if __name__ == "__main__":
    raise SystemExit(main())
