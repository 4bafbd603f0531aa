"""MVBench: twenty tasks that one frame does not answer, 200 questions each.

`OpenGVLab/MVBench`, branch video, a config for each task, split train, 4,000 questions. Columns: video (a file's name),
question, candidates (list of texts), answer (one of them). The branch has every video cut to the part that is asked
about, and episodic reasoning as video; the main branch has whole videos with start and end, folders of frames, and no
videos of fine-grained pose, whose owners give them out themselves. Its own rule reads an option by label or text.
"""

from collections.abc import Iterator, Mapping

from recipe.zppo.benchmarks.contract import Benchmark, Family, Question, Row, Scoring, Source
from recipe.zppo.benchmarks.questions import lettered
from recipe.zppo.benchmarks.scoring.choice import decide_choice
from recipe.zppo.benchmarks.seen import seen, video
from recipe.zppo.errors import DataError

_FOLDERS = {
    "action_antonym": "ssv2_video_mp4",
    "action_count": "perception/videos",
    "action_localization": "sta/sta_video_segment",
    "action_prediction": "star/Charades_segment",
    "action_sequence": "star/Charades_segment",
    "character_order": "perception/videos",
    "counterfactual_inference": "clevrer/video_validation",
    "egocentric_navigation": "vlnqa",
    "episodic_reasoning": "tvqa/video_fps3_hq_segment",
    "fine_grained_action": "Moments_in_Time_Raw/videos",
    "fine_grained_pose": "nturgbd_convert",
    "moving_attribute": "clevrer/video_validation",
    "moving_count": "clevrer/video_validation",
    "moving_direction": "clevrer/video_validation",
    "object_existence": "clevrer/video_validation",
    "object_interaction": "star/Charades_segment",
    "object_shuffle": "perception/videos",
    "scene_transition": "scene_qa/video",
    "state_change": "perception/videos",
    "unexpected_action": "FunQA_test/test",
}


def _row_files(row: Row, part: str | None) -> Mapping[str, str]:
    return {"file": f"{_FOLDERS[part or '']}/{row['video']}"}


def _questions(row: Row, part: str | None, place: int) -> Iterator[Question]:
    options = lettered(row["candidates"])
    gold = next((label for label, text in options.items() if text == row["answer"].strip()), None)
    if gold is None:
        raise DataError(f"the answer {row['answer']!r:.80} is none of the candidates")
    yield seen(f"{part}/{place}", [video(row, "file")], row["question"], gold, options, category=part or "")


BENCHMARK = Benchmark(
    name="MVBench",
    title="MVBench",
    family=Family.VIDEO,
    scoring=Scoring.RULE_JUDGE,
    source=Source(
        "OpenGVLab/MVBench",
        "train",
        configs=tuple(_FOLDERS),
        columns=("video", "question", "candidates", "answer"),
        revision="video",
        files=("*.zip", "*.mp4", "*.webm", "*.avi"),
        row_files=_row_files,
    ),
    questions=_questions,
    decide=decide_choice,
    size=4000,
)
