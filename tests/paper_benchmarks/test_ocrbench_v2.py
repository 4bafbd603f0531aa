r"""OCRBench v2's official metrics, on hand-made cases with known scores; and the text that they are given.

The metrics are lmms-eval's. Where it is not installed (the extra `eval`), their tests are left out.
"""

import importlib.util
import json

import pytest

from recipe.zppo.benchmarks.contract import Decision
from recipe.zppo.benchmarks.scoring import ocrbench_v2 as metrics
from recipe.zppo.benchmarks.scoring.final import whole_answer
from recipe.zppo.benchmarks.vlm import ocrbench_v2
from recipe.zppo.errors import ConfigError

MISSING = [name for name in metrics._MODULES if importlib.util.find_spec(name) is None]
METEOR = 10 * 0.75 / 9.75 * (1 - 0.5 / 27)
"""Three of four words in one chunk: precision 1, recall 3/4."""


@pytest.fixture
def without_wordnet(monkeypatch):
    """The cases below leave METEOR no word to look up."""
    monkeypatch.setattr(metrics, "check", lambda: None)


needs_lmms_eval = pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)} (the extra eval)")

TABLE = "<table><tr><td>a</td><td>b</td></tr><tr><td>1</td><td>2</td></tr></table>"
PAGE = "the quick brown fox jumps over the lazy dog"


def row(kind: str, answers: list[str], evaluated: str = "None", question: str = "What is written?", **more: object):
    values = {"question": question, "answers": answers, "type": kind, "eval": evaluated}
    return values | {"bbox": None, "bbox_list": None, "content": None} | more


@needs_lmms_eval
@pytest.mark.parametrize(
    ("asked", "said", "score"),
    [
        (row("text recognition en", ["CENTRE"]), "centre", 1.0),
        (row("text recognition en", ["CENTRE"]), "center", 0.0),
        (row("cognition VQA en", ["one two three four five"]), "one two three four fife", 22 / 23),
        (row("cognition VQA cn", ["你好"]), "你 好", 1.0),
        (row("science QA en", ["B"], "multiple choice"), "B", 1.0),
        (row("science QA en", ["B"], "multiple choice"), "A", 0.0),
        (row("text recognition en", ["Abc"], "case sensitive"), "abc", 0.0),
        (row("text counting en", ["4"], "regression"), "5", 0.75),
        (row("text counting en", ["4"], "regression"), "8", 0.0),
        (row("text counting en", ["4"], "exact match"), "4", 1.0),
        (row("formula recognition en", ["x ^ 2"]), "x^2", 1.0),
        (row("formula recognition cn", ["\\text{面积}=x"]), "面积=x", 1.0),
        (row("table parsing en", [TABLE], question="Give the table as HTML."), TABLE, 1.0),
        (row("table parsing en", [TABLE], question="Give the table as HTML."), "none", 0.0),
        # One cell differs wholly; below the table there are six nodes, two rows and four cells.
        (row("table parsing cn", [TABLE]), TABLE.replace("2", "9"), 1 - 1 / 6),
        (row("document parsing en", ["# T\nab"]), "# T\nab", 1.0),
        (
            row("key information extraction en", ['{"total": "5", "day": "May"}']),
            '{"total": "5", "day": "June"}',
            0.5,
        ),
        (row("text grounding en", ["0", "0", "100", "100"]), "(0, 0, 100, 50)", 0.5),
        (row("text grounding en", ["0", "0", "100", "100"]), "nowhere", 0.0),
        (
            row("VQA with position en", ["fox"], bbox=[0, 0, 10, 10]),
            '{"answer": "fox", "bbox": "[0, 0, 10, 5]"}',
            0.5 + 0.25,
        ),
        (
            row("text spotting en", [], bbox_list=[[0, 0, 50, 0, 50, 20, 0, 20]], content=["STOP"]),
            '[[0, 0, 50, 20, "STOP"]]',
            1.0,
        ),
        (
            row("text spotting en", [], bbox_list=[[0, 0, 50, 0, 50, 20, 0, 20]], content=["STOP"]),
            '[[0, 0, 50, 20, "SHOP"]]',
            0.0,
        ),
        # BLEU, F and edit similarity are 1; METEOR's penalty for nine words in one chunk is 0.5 / 9 ** 3.
        (row("full-page OCR en", [PAGE]), PAGE, (3 + 1 - 0.5 / 9**3) / 4),
        # No four words of it: BLEU 0. F of 1 and 3/4. Five of fifteen characters are missing.
        (row("full-page OCR en", ["cat sat on mats"]), "cat sat on", (0 + METEOR + 6 / 7 + 2 / 3) / 4),
        # Longer than nltk compares.
        (row("full-page OCR en", [f"{PAGE} " * 300]), f"{PAGE} " * 300, (3 + 1 - 0.5 / 2700**3) / 4),
        (row("handwritten answer extraction cn", ["AC"]), "A、C", 1.0),
        (row("text recognition en", ["CENTRE"]), "", 0.0),
    ],
)
def test_official_metrics_on_cases_with_known_scores(asked, said, score, without_wordnet):
    assert metrics.score(asked, said) == pytest.approx(score, abs=1e-9)


@needs_lmms_eval
def test_a_response_that_keeps_a_metric_busy_costs_its_own_score_alone(monkeypatch, without_wordnet):
    command = [part.replace("serve_metric()", "serve_metric(1.0)") for part in metrics._helper.command]
    monkeypatch.setattr(metrics, "_helper", type(metrics._helper)(command))
    endless = "<table>" + "".join(f"<tr><td>{n}</td><td>{n * n}</td></tr>" for n in range(400)) + "</table>"
    table = row("table parsing cn", [endless])
    assert [metrics.score(table, endless.replace("7", "8")), metrics.score(row("text recognition en", ["a"]), "a")] == [
        0.0,
        1.0,
    ]


@needs_lmms_eval
def test_decide_gives_the_metric_the_answer_without_thought_and_box(without_wordnet):
    (asked,) = ocrbench_v2.ENGLISH.questions(row("text recognition en", ["CENTRE"]) | {"id": 1, "image": "x"}, None, 0)
    thought = "<think>CENTRE or CENTER?</think>"
    assert ocrbench_v2.ENGLISH.decide(asked, thought + "\\boxed{\\text{CENTER}}") == Decision(0.0, "CENTER")
    choice = row("science QA en", ["B"], "multiple choice") | {"id": 2, "image": "x"}
    (asked,) = ocrbench_v2.ENGLISH.questions(choice, None, 0)
    assert ocrbench_v2.ENGLISH.decide(asked, thought + "\\boxed{B. a cat}") == Decision(1.0, "B")
    assert ocrbench_v2.ENGLISH.decide(asked, thought + "\\boxed{B cat}") == Decision(0.0, "B cat")


def test_a_missing_package_is_named_with_its_remedy(monkeypatch):
    metrics.check.cache_clear()
    monkeypatch.setattr(metrics, "_MODULES", ("no_such_package",))
    with pytest.raises(ConfigError, match=r"need no_such_package; install them with: pip install 'open-zppo\[eval\]'"):
        metrics.check()
    metrics.check.cache_clear()


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("<think>\\boxed{a}</think>\\boxed{b}", "b"),
        ("<think>hm</think>\n| a | b |\n", "| a | b |"),
        ("\\boxed{\\text{CENTRE}}", "CENTRE"),
        ('\\boxed{\\{"total": "5\\%"\\}}', '{"total": "5%"}'),
        ('\\boxed{{"total": "5"}}', '{"total": "5"}'),
        ("\\boxed{" + "x" * 5000 + "}", "x" * 5000),
        ("Here: $\\boxed{if (x) { y }$", "if (x) { y"),
        ("<think>so \\boxed{a}", "a"),
        ("<think>so \\boxed{a}</think>", "a"),
        ("<think>a long page that never", ""),
        ("", ""),
    ],
)
def test_the_whole_answer(response, answer):
    assert whole_answer(response) == answer


def test_a_formula_keeps_its_latex():
    assert whole_answer("\\boxed{\\text{area} = \\{x\\}}", latex=True) == "\\text{area} = \\{x\\}"


def test_what_the_metric_needs_is_plain_json():
    (asked,) = ocrbench_v2.ENGLISH.questions(row("text recognition en", ["a"]) | {"id": 1, "image": "x"}, None, 0)
    assert json.loads(json.dumps(dict(asked.extra))) == row("text recognition en", ["a"])
