"""Video-MME: 900 videos from 11 seconds to an hour, three questions each; without and with subtitles.

`lmms-lab/Video-MME`, config videomme, split test, 2,700 questions. Columns: videoID (the file's name), duration (short,
medium, long), question_id, question, options (four texts that begin with ``A.`` to ``D.``), answer (a letter). Videos
are in archives videos_chunked_*.zip, subtitles in subtitle.zip as ``<videoID>.srt``. With subtitles, all of them stand
before the question, without times and numbers; of the 900 videos 744 have some, and the others are asked without. Its
own rule reads an option by label or text.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from recipe.zppo.benchmarks.contract import Benchmark, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.questions import lettered
from recipe.zppo.benchmarks.scoring.choice import decide_choice
from recipe.zppo.benchmarks.seen import seen, video, without_form

_LABEL = re.compile(r"^\s*[A-D][.):]\s*")
_TIME = re.compile(r"^\d+:\d\d:\d\d[,.]\d+ *--> *\d+:\d\d:\d\d[,.]\d+.*$")
_TAG = re.compile(r"</?[a-zA-Z][^<>\n]{0,200}>|\{\\[^{}\n]{0,100}\}")


def subtitles(text: str) -> str:
    """The spoken lines of an .srt file. Numbers, times and fonts are left out, and a line that repeats the last."""
    spoken: list[str] = []
    lines = [_TAG.sub("", line).strip() for line in text.lstrip("\ufeff").splitlines()]
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        numbered = line.isdigit() and _TIME.match(following)
        if line and not numbered and not _TIME.match(line) and line not in spoken[-1:]:
            spoken.append(line)
    return "\n".join(spoken)


def _video(row: Row, part: str | None) -> Mapping[str, str]:
    return {"file": f"{row['videoID']}.mp4"}


def _video_and_subtitles(row: Row, part: str | None) -> Mapping[str, str]:
    return {**_video(row, part), "srt": f"{row['videoID']}.srt"}


def _questions(row: Row, part: str | None, place: int) -> Iterator[Question]:
    spoken = subtitles(Path(row["srt"]).read_text("utf-8", "replace")) if row.get("srt") else ""
    text = without_form(row["question"])
    yield seen(
        row["question_id"],
        [video(row, "file")],
        f"Subtitles of the video:\n{spoken}\n\n{text}" if spoken else text,
        row["answer"],
        lettered(_LABEL.sub("", option) for option in row["options"]),
        category=row["duration"],
    )


def _benchmark(name: str, title: str, *, with_subtitles: bool) -> Benchmark:
    archives = ("videos_chunked_*.zip",)
    return Benchmark(
        name=name,
        title=title,
        family=Family.VIDEO,
        scoring=Scoring.RULE_JUDGE,
        source=Source(
            "lmms-lab/Video-MME",
            "test",
            configs=("videomme",),
            columns=("videoID", "duration", "question_id", "question", "options", "answer"),
            files=(*archives, "subtitle.zip") if with_subtitles else archives,
            row_files=_video_and_subtitles if with_subtitles else _video,
        ),
        questions=_questions,
        decide=decide_choice,
        size=2700,
    )


WITHOUT = _benchmark("VMME", "Video-MME", with_subtitles=False)
WITH = _benchmark("VMMES", "Video-MME with subtitles", with_subtitles=True)
