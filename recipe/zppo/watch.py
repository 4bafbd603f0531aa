"""Live progress of a run: ``python -m recipe.zppo.watch RUN_DIR [--log FILE] [--pid PID]``."""

import sys

from recipe.zppo.view.watch import main

if __name__ == "__main__":
    sys.exit(main())
