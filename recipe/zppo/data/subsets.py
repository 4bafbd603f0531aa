"""The sub-sets of ZPPO-77K (App. B.1): tiers, and the map from the names in the two sources to one canonical name.

The canonical names are the paper's. The names in the sources were gathered from public code that reads the two sets;
they are compared by letters and digits only, without the domain in front (`stem-`, `FineVision-`) and without a remark
in parentheses behind, so that a small change of spelling loses no sub-set. What is not listed is not used, and is
counted by name in the report.
"""

import re
from dataclasses import dataclass

VERO = "vero"
MMFINEREASON = "mmfinereason"
SOURCES = (VERO, MMFINEREASON)
"""In order of priority: of two sources with the same sub-set the first one wins."""

_DOMAINS = (
    "stem",
    "chart_ocr",
    "knowledge_recognition",
    "counting_grounding_search",
    "spatial_action",
    "captioning_IF",
    "FineVision",
)


@dataclass(frozen=True)
class Subset:
    name: str
    tier: int
    vero: tuple[str, ...] = ()
    """Names in Vero-600k: of its configs, or in its column `data_source`."""
    mmfinereason: tuple[str, ...] = ()
    """Values of MMFineReason's column `source`."""

    def names(self, source: str) -> tuple[str, ...]:
        return self.vero if source == VERO else self.mmfinereason


SUBSETS = (
    Subset("ai2d", 1, ("ai2d_merged", "ai2d"), ("ai2d_merged", "AI2D")),
    Subset("geo170k", 1, ("geo170k",), ("geo170k(qa)", "Geo170K")),
    Subset("geomverse", 1, ("geomverse",)),
    Subset("geoqa_plus", 1, ("geoqa_plus",)),
    Subset("mmk12", 1, ("mmk12",)),
    Subset("cosyn_math", 1, ("CoSyn_400k_math", "cosyn_math")),
    Subset("cosyn_chart", 1, ("CoSyn_400k_chart", "cosyn_chart")),
    Subset("cosyn_diagram", 1, ("CoSyn_400k_diagram", "cosyn_diagram")),
    Subset("cosyn_table", 1, ("CoSyn_400k_table", "cosyn_table")),
    Subset(
        "wemath",
        1,
        ("wemath20_pro", "wemath20_standard", "wemath"),
        ("WeMath2-Pro", "WeMath2-SFT", "WeMath2-Standard", "WeMath"),
    ),
    Subset("tqa", 1, ("tqa",), ("TQA",)),
    Subset("visualwebinstruct", 1, ("visualwebinstruct",), ("visualwebinstruct(filtered)",)),
    Subset("chartqa", 1, ("chartqa", "chartqa_difficulty")),
    Subset("arxivqa", 1, ("arxivqa", "arxivqa_formatted")),
    Subset("mmr1", 1, (), ("MMR1",)),
    Subset("euclid", 1, (), ("Euclid30K", "Euclid")),
    Subset("geometry3k", 1, (), ("geometry3k(mathv360k)", "Geo3K", "Geometry3K")),
    Subset("mm_openr1", 1, (), ("mmopenr1-8k", "mm-openr1")),
    Subset("bmmr", 1, (), ("BMMR",)),
    Subset("scienceqa", 1, (), ("ScienceQA",)),
    Subset("virl39k", 1, (), ("ViRL39K",)),
    Subset("pathvqa", 2, ("pathvqa",)),
    Subset("vqarad", 2, ("vqarad",)),
    Subset("raven", 2, ("raven",), ("Raven",)),
    Subset("evochart", 2, ("evochart",)),
    Subset("infographic_vqa", 2, ("infographic_vqa",)),
    Subset("aokvqa", 2, ("aokvqa",)),
    Subset("gqa", 2, ("gqa",)),
    Subset("iconqa", 2, ("iconqa",)),
    Subset("vqav2", 2, ("vqav2",)),
    Subset("visual7w", 2, ("visual7w",)),
    Subset("tallyqa", 2, ("tallyqa",)),
    Subset("pixelreasoner", 2, ("pixelreasoner",)),
    Subset("multihop", 2, ("multihop", "multihop_qa")),
    Subset("pixmo", 2, ("pixmo",)),
    Subset("visual_probe", 2, ("visual_probe",)),
    Subset("visualsphinx", 2, (), ("VisualSphinx",)),
    Subset("puzzleqa", 2, (), ("PuzzleQA",)),
    Subset("llava_cot", 2, (), ("LLaVA-CoT",)),
    Subset("zebra_cot", 2, (), ("Zebra-CoT-Physics", "Zebra-CoT")),
)
BY_NAME = {subset.name: subset for subset in SUBSETS}


def folded(name: str) -> str:
    """What of a name is compared: `stem-geo170k(qa)` and `Geo170K` are the same."""
    domain = next((domain for domain in _DOMAINS if name.lower().startswith(domain.lower() + "-")), None)
    bare = name[len(domain) + 1 :] if domain else name
    return re.sub(r"[^a-z0-9]", "", re.sub(r"\(.*?\)", "", bare).lower())


_CANONICAL = {
    source: {folded(name): subset for subset in SUBSETS for name in subset.names(source)} for source in SOURCES
}


def canonical(source: str, name: str) -> Subset | None:
    """The sub-set that a source calls `name`; None if the corpus has no such sub-set."""
    return _CANONICAL[source].get(folded(name))
