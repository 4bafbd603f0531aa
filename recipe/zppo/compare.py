"""Two models on the same benchmarks, with an interval over benchmarks: ``python -m recipe.zppo.compare A [B]``.

Each is the folder of an evaluation or of a run, or ``paper:STUDENT/METHOD``.
"""

from recipe.zppo.evaluate.compare import main

if __name__ == "__main__":
    raise SystemExit(main())
