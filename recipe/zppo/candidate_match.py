"""Whose answer the student gives under candidates: ``python -m recipe.zppo.candidate_match RUN_DIR``."""

from recipe.zppo.view.candidate_match import main

if __name__ == "__main__":
    raise SystemExit(main())
