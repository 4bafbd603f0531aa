"""Whether candidates of BCQs give themselves away: ``python -m recipe.zppo.cue_audit RUN_DIR``."""

from recipe.zppo.view.cue_audit import main

if __name__ == "__main__":
    raise SystemExit(main())
