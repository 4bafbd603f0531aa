"""All 31 benchmarks by name, as Tables 5 to 7 list them."""

import importlib.util

import pytest

from recipe.zppo.benchmarks import registry
from recipe.zppo.benchmarks.contract import Benchmark, Scoring
from recipe.zppo.benchmarks.registry import BENCHMARKS, PLACES, family_of, select
from recipe.zppo.errors import ConfigError

EXACT, RULE, DET, OWN = Scoring.EXACT_JUDGE, Scoring.RULE_JUDGE, Scoring.DETERMINISTIC, Scoring.BENCHMARK_JUDGE
TABLE = [
    ("vlm", "AI2D", EXACT, "lmms-lab/ai2d"),
    ("vlm", "BabyV", EXACT, "UnipatAI/BabyVision"),
    ("vlm", "CharXiv", OWN, "princeton-nlp/CharXiv"),
    ("vlm", "DynaM", EXACT, "DynaMath/DynaMath_Sample"),
    ("vlm", "EmbSp", EXACT, "FlagEval/EmbSpatial-Bench"),
    ("vlm", "InfoVQA", DET, "lmms-lab/DocVQA"),
    ("vlm", "MVerse", EXACT, "CaraJ/MathVerse-lmmseval"),
    ("vlm", "MVision", EXACT, "MathLLMs/MathVision"),
    ("vlm", "MVista", RULE, "AI4Math/MathVista"),
    ("vlm", "MMMUPro", EXACT, "MMMU/MMMU_Pro"),
    ("vlm", "MM-Vet", OWN, "lmms-lab/MMVet"),
    ("vlm", "OCREN", DET, "ling99/OCRBench_v2"),
    ("vlm", "OCRZH", DET, "ling99/OCRBench_v2"),
    ("vlm", "VisP", EXACT, "neulab/VisualPuzzles"),
    ("vlm", "VBlind", EXACT, "XAI/vlmsareblind"),
    ("vlm", "WeMath", EXACT, "We-Math/We-Math"),
    ("llm", "AIME25", EXACT, "opencompass/AIME2025"),
    ("llm", "AIME26", EXACT, "MathArena/aime_2026"),
    ("llm", "CEval", EXACT, "ceval/ceval-exam"),
    ("llm", "GPQA-D", EXACT, "Idavidrein/gpqa"),
    ("llm", "HLE", OWN, "cais/hle"),
    ("llm", "IMO-AB", EXACT, "OpenEvals/IMO-AnswerBench"),
    ("llm", "MMLU", EXACT, "cais/mmlu"),
    ("llm", "MMLU-Pro", EXACT, "TIGER-Lab/MMLU-Pro"),
    ("llm", "MMLU-Rd", EXACT, "edinburgh-dawg/mmlu-redux-2.0"),
    ("llm", "MultiCh", OWN, "ScaleAI/MultiChallenge"),
    ("video", "MMVU", OWN, "yale-nlp/MMVU"),
    ("video", "MVBench", RULE, "OpenGVLab/MVBench"),
    ("video", "VMME", RULE, "lmms-lab/Video-MME"),
    ("video", "VMMES", RULE, "lmms-lab/Video-MME"),
    ("video", "VMMMU", RULE, "lmms-lab/VideoMMMU"),
]
TO_COME = ["vlm", "video"]
"""Families of which a benchmark may be missing. Must become empty."""


def test_the_order_is_the_paper_s():
    assert [(family_of(name), name) for name in BENCHMARKS] == [row[:2] for row in TABLE]
    assert len(BENCHMARKS) == 31


@pytest.mark.parametrize(("family", "name", "scoring", "dataset"), TABLE, ids=[row[1] for row in TABLE])
def test_each_is_what_its_table_says(family, name, scoring, dataset):
    module = f"recipe.zppo.benchmarks.{PLACES[name].partition(':')[0]}"
    if family in TO_COME and importlib.util.find_spec(module) is None:
        pytest.skip("to come")
    benchmark = BENCHMARKS[name]
    assert isinstance(benchmark, Benchmark) and benchmark is BENCHMARKS[name]
    assert (benchmark.name, benchmark.family, benchmark.scoring) == (name, family, scoring)
    assert benchmark.source.dataset == dataset
    assert benchmark.title and benchmark.size > 0 and benchmark.source.columns
    assert (benchmark.judge is not None) == (scoring is OWN)
    assert scoring is OWN or benchmark.decide is not None


def test_benchmarks_are_chosen_by_name_and_family():
    llm = [row[1] for row in TABLE if row[0] == "llm"]
    assert [each.name for each in select(["llm"])] == llm
    assert [each.name for each in select(["MMLU", "gpqa-d", "MMLU"])] == ["GPQA-D", "MMLU"]
    assert [each.name for each in select(["HLE", "LLM"])] == llm


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["GPQA"], "there is no benchmark or family 'GPQA'; did you mean GPQA-D?"),
        (["MMLU", "mmlupro"], "there is no benchmark or family 'mmlupro'; did you mean MMLU-Pro?"),
        (["zzz"], "there is no benchmark or family 'zzz'; known: vlm, llm, video, AI2D, "),
        ([], "none is named; known: vlm, llm, video, AI2D, "),
    ],
)
def test_an_unknown_name_is_said(wanted, message):
    with pytest.raises(ConfigError) as caught:
        registry.select(wanted)
    assert message in str(caught.value) and "\n" not in str(caught.value)
