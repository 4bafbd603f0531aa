"""A LoRA student as one model: ``python -m recipe.zppo.merge_adapter FOLDER``."""

from recipe.zppo.on_verl.merge_adapter import main

if __name__ == "__main__":
    raise SystemExit(main())
