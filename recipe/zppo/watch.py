"""Live progress of a run: ``python -m recipe.zppo.watch RUN_DIR [--log FILE] [--pid PID]``."""

from recipe.zppo.view.watch import main

if __name__ == "__main__":
    raise SystemExit(main())
