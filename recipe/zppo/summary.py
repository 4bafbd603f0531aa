"""A run in terms that a person understands: ``python -m recipe.zppo.summary RUN_DIR [--json]``."""

from recipe.zppo.view.summary import main

if __name__ == "__main__":
    raise SystemExit(main())
