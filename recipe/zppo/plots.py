"""The paper's figures of a run: ``python -m recipe.zppo.plots RUN_DIR [--out FOLDER]``."""

from recipe.zppo.view.plots import main

if __name__ == "__main__":
    raise SystemExit(main())
