"""OCRBench v2's metrics, one for each type of question, as lmms-eval has them, in a process of their own.

Tables and documents are compared as trees, text by BLEU, METEOR and edit distance, spotting by overlap. All of it is
lmms-eval's code; only the package around it is left out, which would import its evaluation stack. A student's text may
keep such a comparison busy for hours, so the process has bounded time and memory (`recipe.zppo.bounded_grader`), and
what is not finished then scores 0.
"""

import importlib.util
import json
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from recipe.zppo.bounded_grader import BoundedGrader, serve
from recipe.zppo.errors import ConfigError

CPU_S = 120.0
"""For one response. A page of text takes seconds."""
_FILE_SIZE = 2**26  # bytes; spotting is compared through files
_MODULES = (
    *("lmms_eval", "loguru", "apted", "distance", "editdistance", "Levenshtein", "lxml", "zss", "jieba", "nltk"),
    *("Polygon", "tqdm"),
)
_REMEDY = "pip install 'open-zppo[eval]' && pip install --no-deps lmms-eval==0.7.3"
_WORDNET = "python -m nltk.downloader wordnet"

_ROOT = str(Path(__file__).parents[4])
_helper = BoundedGrader(
    (
        *(sys.executable, "-P", "-c"),
        f"import sys; sys.path.append({_ROOT!r}); from {__name__} import serve_metric; serve_metric()",
    ),
    wait_s=10 * CPU_S,
)


@lru_cache
def check() -> None:
    """Raises:
    ConfigError: a package, or the word list of METEOR, is missing.
    """
    missing = [name for name in _MODULES if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"OCRBench v2's metrics need {', '.join(missing)}; install them with: {_REMEDY}")
    import nltk

    for name in ("corpora/wordnet", "corpora/wordnet.zip"):
        try:
            nltk.data.find(name)
            return
        except LookupError:
            continue
    raise ConfigError(f"OCRBench v2's METEOR needs nltk's wordnet; get it with: {_WORDNET}")


def score(row: Mapping[str, Any], prediction: str) -> float:
    """0 to 1, of a row's question, answers, type, eval, bbox, bbox_list and content; without anything said, 0.

    Raises:
        ConfigError: as `check`, or lmms-eval can't be imported.
        HelperKilledError: the process was killed, so that the prediction has no score.
    """
    check()
    if not prediction:
        return 0.0
    try:
        return float(_helper.ask(prediction, json.dumps(dict(row))) or 0.0)
    except OSError as error:
        raise ConfigError(f"lmms-eval's metrics of OCRBench v2 don't start; install them with: {_REMEDY}") from error


def serve_metric(cpu_s: float = CPU_S) -> None:
    """What the process runs."""
    metric = _official()
    serve(lambda prediction, row: float(metric(json.loads(row), [prediction])), cpu_s, _FILE_SIZE)


def _official() -> Any:
    """lmms-eval's function of a row and responses, without `lmms_eval.tasks` itself.

    Edit distances are Levenshtein's. They are nltk's, which refuses more than 2,000 characters and is slow.
    """
    spec = importlib.util.find_spec("lmms_eval")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("lmms_eval")
    package = ModuleType("lmms_eval.tasks")
    package.__path__ = [str(Path(folder) / "tasks") for folder in spec.submodule_search_locations]
    sys.modules["lmms_eval.tasks"] = package
    import Levenshtein
    import nltk
    from lmms_eval.tasks.ocrbench_v2.utils import ocrbench_v2_process_results

    nltk.edit_distance = Levenshtein.distance

    return lambda row, said: ocrbench_v2_process_results(row, said)["ocrbench_v2_accuracy"]["score"]
