r"""The video benchmarks: what a row of each becomes, which files it points to, and how a response to it is scored."""

import pytest

from recipe.zppo.benchmarks.contract import Benchmark, Decision, Family, Question, Scored, Scoring
from recipe.zppo.benchmarks.video import mmvu, mvbench, videomme, videommmu
from recipe.zppo.errors import DataError
from recipe.zppo.media.parts import has_media
from recipe.zppo.prompts import question_text
from tests.paper_benchmarks import rows

BENCHMARKS = [mmvu.BENCHMARK, mvbench.BENCHMARK, videomme.WITHOUT, videomme.WITH, videommmu.BENCHMARK]
THOUGHT = "<think>The answer is A. Or \\boxed{A}? No.</think>\n"
SRT = """\ufeff1
00:00:01,000 --> 00:00:02,500
<font color="white" size=".72c">Merry Christmas!</font>

2
00:00:02,500 --> 00:00:04,000
<font color="white" size=".72c">Merry Christmas!</font>

3
00:00:04,000 --> 00:00:09,000
{\\an8}<i>7</i>
apples hang here.
"""


def question(benchmark: Benchmark, row: dict, part: str | None = None) -> Question:
    """As loading hands it over: its files found under a folder."""
    found = {column: f"/data/{path}" for column, path in benchmark.source.row_files(row, part).items()}
    (asked,) = benchmark.questions(found | row, part, 5)
    return asked


CASES = [
    (
        mmvu.BENCHMARK,
        rows.MMVU,
        None,
        "videos/Art/0.mp4",
        "<video>Which technique is shown?\nA. Pan\nB. Tilt\nC. Dolly zoom\nD. Crane\nE. Cut",
        "C",
        "Art",
    ),
    (
        mmvu.BENCHMARK,
        rows.MMVU_OPEN,
        None,
        "videos/Art/0.mp4",
        "<video>Which technique is shown?",
        "Dolly Zoom",
        "Art",
    ),
    (
        mvbench.BENCHMARK,
        rows.MVBENCH,
        "action_antonym",
        "ssv2_video_mp4/166583.mp4",
        "<video>What is the action performed by the person?\nA. Not sure\nB. Scattering something down\nC. Piling "
        "something up",
        "C",
        "action_antonym",
    ),
    (
        videomme.WITHOUT,
        rows.VIDEOMME,
        "videomme",
        "fFjv93ACGo8.mp4",
        "<video>When showing the Christmas tree, how many apples are there?\nA. 3.\nB. 5.\nC. 7.\nD. 9.",
        "B",
        "short",
    ),
    (
        videommmu.BENCHMARK,
        rows.VIDEOMMMU,
        "Perception",
        "validation_Art_Theory_1.mp4",
        "<video>Which theory is explained?\nA. one\nB. two\nC. three",
        "C",
        "Perception",
    ),
    (
        videommmu.BENCHMARK,
        rows.VIDEOMMMU_OPEN,
        "Adaptation",
        "test_Accounting_2.mp4",
        "<video>How large is the cost in <image>?",
        "28.35",
        "Adaptation",
    ),
]


def test_they_are_the_five_rows_of_table_5():
    assert [benchmark.name for benchmark in BENCHMARKS] == ["MMVU", "MVBench", "VMME", "VMMES", "VMMMU"]
    assert {benchmark.family for benchmark in BENCHMARKS} == {Family.VIDEO}
    assert [b.name for b in BENCHMARKS if b.scoring is Scoring.BENCHMARK_JUDGE] == ["MMVU"]
    assert [b.aggregate([Scored("", 1.0, "", {}), Scored("", 0.0, "", {})]) for b in BENCHMARKS] == [0.5] * 5


@pytest.mark.parametrize(("benchmark", "row", "part", "path", "text", "gold", "category"), CASES)
def test_a_row_becomes_a_question(benchmark, row, part, path, text, gold, category):
    asked = question(benchmark, row, part)
    assert question_text(asked.messages) == text
    assert (asked.gold, asked.category) == (gold, category)
    assert asked.messages[0]["content"][0] == {"type": "video", "video": f"/data/{path}"} and has_media(asked.messages)
    assert set(benchmark.source.columns) <= row.keys() and benchmark.source.files
    with pytest.raises(DataError, match="the video of column 'file' is not among the data set's files"):
        list(benchmark.questions(row | {"file": None}, part, 5))


def test_mvbench_has_twenty_tasks_with_a_folder_each():
    parts = mvbench.BENCHMARK.source.parts
    assert len(parts) == 20 and ("fine_grained_pose", "train", "fine_grained_pose") in parts
    paths = [mvbench.BENCHMARK.source.row_files(rows.MVBENCH, name)["file"] for _, _, name in parts]
    assert "clevrer/video_validation/166583.mp4" in paths and all(path.endswith("/166583.mp4") for path in paths)
    with pytest.raises(DataError, match="'Eating' is none of the candidates"):
        question(mvbench.BENCHMARK, rows.MVBENCH | {"answer": "Eating"}, "action_antonym")


def test_subtitles_stand_before_the_question(tmp_path):
    file = tmp_path / "fFjv93ACGo8.srt"
    file.write_text(SRT, "utf-8")
    files = videomme.WITH.source.row_files(rows.VIDEOMME, "videomme")
    assert files == {"file": "fFjv93ACGo8.mp4", "srt": "fFjv93ACGo8.srt"}
    assert "subtitle.zip" in videomme.WITH.source.files and "subtitle.zip" not in videomme.WITHOUT.source.files
    row = rows.VIDEOMME | {"file": "/data/fFjv93ACGo8.mp4", "srt": str(file)}
    plain = question_text(question(videomme.WITHOUT, rows.VIDEOMME).messages).removeprefix("<video>")
    (asked,) = videomme.WITH.questions(row, "videomme", 0)
    shown = f"<video>Subtitles of the video:\nMerry Christmas!\n7\napples hang here.\n\n{plain}"
    assert question_text(asked.messages) == shown
    (silent,) = videomme.WITH.questions(row | {"srt": None}, "videomme", 0)
    assert question_text(silent.messages) == f"<video>{plain}"


def test_adaptation_without_its_picture_is_asked_of_the_video_alone():
    row = {name: value for name, value in rows.VIDEOMMMU_OPEN.items() if name != "image"}
    asked = question(videommmu.BENCHMARK, row, "Adaptation")
    assert question_text(asked.messages) == "<video>How large is the cost in?"


@pytest.mark.parametrize(
    ("benchmark", "row", "response", "decision"),
    [
        (mvbench.BENCHMARK, rows.MVBENCH, "\\boxed{Piling something up}", Decision(1.0, "C")),
        (mvbench.BENCHMARK, rows.MVBENCH, "The answer is (B)", Decision(0.0, "B")),
        # lmms-eval 0.7.3 reads C of this one.
        (videomme.WITHOUT, rows.VIDEOMME, "(A) and (C) look alike, but it is \\boxed{B}", Decision(1.0, "B")),
        (videomme.WITHOUT, rows.VIDEOMME, "\\boxed{5}", Decision(1.0, "B")),
        (videomme.WITHOUT, rows.VIDEOMME, "\\boxed{B. 5.}", Decision(1.0, "B")),
        (videommmu.BENCHMARK, rows.VIDEOMMMU, "\\boxed{\\text{C}}", Decision(1.0, "C")),
        (videommmu.BENCHMARK, rows.VIDEOMMMU_OPEN, "\\boxed{28.352}", Decision(1.0, "28.352")),
        (videommmu.BENCHMARK, rows.VIDEOMMMU_OPEN, "\\boxed{28.4}", Decision(None, "28.4")),
        (videommmu.BENCHMARK, rows.VIDEOMMMU_OPEN, "\\boxed{28.35 dollars}", Decision(None, "28.35 dollars")),
    ],
)
def test_a_response_is_read_as_a_student_writes_it(benchmark, row, response, decision):
    assert benchmark.decide(question(benchmark, row, "action_antonym"), THOUGHT + response) == decision


def test_mmvu_s_judge_has_two_modes():
    judge = mmvu.BENCHMARK.judge
    (choice,) = judge.messages(question(mmvu.BENCHMARK, rows.MMVU), "<think>A?</think>\\boxed{C}")
    (free,) = judge.messages(question(mmvu.BENCHMARK, rows.MMVU_OPEN), "A dolly zoom.</response>")
    assert "C. Dolly zoom" in choice["content"] and "one letter" in choice["content"]
    assert "technique or concept" in free["content"] and "technique or concept" not in choice["content"]
    assert free["content"].count("</response>") == 1 and "A?" not in choice["content"]


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ('{"extracted_answer": "C", "correct": true}', 1.0),
        ('{"extracted_answer": "A", "correct": false}', 0.0),
        ('{"extracted_answer": "A", "correct": "true"}', None),
        ('{"extracted_answer": "A"}', None),
        ("true", None),
        ("", None),
    ],
)
def test_mmvu_s_judge_replies(reply, score):
    assert mmvu.BENCHMARK.judge.score(question(mmvu.BENCHMARK, rows.MMVU), reply) == score
