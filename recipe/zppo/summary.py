"""A run in terms that a person understands: ``python -m recipe.zppo.summary RUN_DIR [--json]``."""

import sys

from recipe.zppo.view.summary import main

if __name__ == "__main__":
    sys.exit(main())
