"""All benchmarks by the paper's short names, in the order of Tables 5 to 7. Each is imported when it is asked for."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module

from recipe.zppo.benchmarks.contract import Benchmark, Family
from recipe.zppo.errors import ConfigError

PLACES = {
    "AI2D": "vlm.ai2d",
    "BabyV": "vlm.babyvision",
    "CharXiv": "vlm.charxiv",
    "DynaM": "vlm.dynamath",
    "EmbSp": "vlm.embspatial",
    "InfoVQA": "vlm.infovqa",
    "MVerse": "vlm.mathverse",
    "MVision": "vlm.mathvision",
    "MVista": "vlm.mathvista",
    "MMMUPro": "vlm.mmmu_pro",
    "MM-Vet": "vlm.mmvet",
    "OCREN": "vlm.ocrbench_v2:ENGLISH",
    "OCRZH": "vlm.ocrbench_v2:CHINESE",
    "VisP": "vlm.visualpuzzles",
    "VBlind": "vlm.vlmsareblind",
    "WeMath": "vlm.wemath",
    "AIME25": "llm.aime25",
    "AIME26": "llm.aime26",
    "CEval": "llm.ceval",
    "GPQA-D": "llm.gpqa_diamond",
    "HLE": "llm.hle",
    "IMO-AB": "llm.imo_answerbench",
    "MMLU": "llm.mmlu",
    "MMLU-Pro": "llm.mmlu_pro",
    "MMLU-Rd": "llm.mmlu_redux",
    "MultiCh": "llm.multichallenge",
    "MMVU": "video.mmvu",
    "MVBench": "video.mvbench",
    "VMME": "video.videomme:WITHOUT",
    "VMMES": "video.videomme:WITH",
    "VMMMU": "video.videommmu",
}
"""Module below this folder, and its attribute where that is not ``BENCHMARK``."""


class _Benchmarks(Mapping[str, Benchmark]):
    def __getitem__(self, name: str) -> Benchmark:
        return _imported(PLACES[name])

    def __iter__(self) -> Iterator[str]:
        return iter(PLACES)

    def __len__(self) -> int:
        return len(PLACES)


BENCHMARKS: Mapping[str, Benchmark] = _Benchmarks()


def family_of(name: str) -> Family:
    """Of a benchmark, without importing it."""
    return Family(PLACES[name].partition(".")[0])


def select(wanted: Iterable[str]) -> list[Benchmark]:
    """The benchmarks of these names and families (``vlm``, ``llm``, ``video``), each once, in the paper's order.

    Raises:
        ConfigError: a name is unknown, or there is none.
    """
    known = {key.lower(): key for key in (*Family, *PLACES)}
    asked = [str(each) for each in wanted]
    for each in asked:
        if each.lower() not in known:
            close = get_close_matches(each.lower(), known, n=1)
            hint = f"did you mean {known[close[0]]}?" if close else f"known: {', '.join(known.values())}"
            raise ConfigError(f"benchmarks: there is no benchmark or family {each!r:.60}; {hint}")
    if not asked:
        raise ConfigError(f"benchmarks: none is named; known: {', '.join(known.values())}")
    chosen = {known[each.lower()] for each in asked}
    return [BENCHMARKS[name] for name in PLACES if name in chosen or family_of(name) in chosen]


@cache
def _imported(place: str) -> Benchmark:
    module, _, attribute = place.partition(":")
    benchmark: Benchmark = getattr(import_module(f"{__package__}.{module}"), attribute or "BENCHMARK")
    return benchmark
