"""Rows in the schemas of the real data sets: same columns, same kinds of values, contents made up."""

import io

from PIL import Image


def picture(shade: int = 0) -> dict[str, object]:
    """As `datasets` gives an image that is not decoded."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


AI2D = {
    "question": "Which label shows the egg?",
    "options": ["A", "B", "larva", "pupa"],
    "answer": "2",
    "image": picture(),
}
BABYVISION = {
    "taskId": 7,
    "type": "Visual Tracking",
    "subtype": "Maze",
    "image": picture(),
    "question": "Which exit does the path reach?",
    "ansType": "choice",
    "options": ["the left one", "the right one"],
    "choiceAns": 1,
    "blankAns": None,
    "coT": "...",
}
BABYVISION_BLANK = BABYVISION | {
    "taskId": 8,
    "question": "In which row and column does it differ? Give (row,column).",
    "ansType": "blank",
    "options": [],
    "choiceAns": None,
    "blankAns": "(4,7)",
}
CHARXIV = {
    "image": picture(),
    "category": "cs",
    "year": "20",
    "original_figure_path": "a.jpg",
    "original_id": "2004.10956",
    "figure_path": "images/0.jpg",
    "num_subplots": 4,
    "subplot_row": 1,
    "subplot_col": 2,
    "subplot_loc": None,
    "reasoning_q": "Which model declines most?",
    "reasoning_q_source": 3,
    "reasoning_a": "Joint-CNN",
    "reasoning_a_type": 1,
    "descriptive_q1": 1,
    "descriptive_a1": "Not Applicable",
    "descriptive_q2": 7,
    "descriptive_a2": "100",
    "descriptive_q3": 13,
    "descriptive_a3": "red, blue",
    "descriptive_q4": 19,
    "descriptive_a4": "4",
}
DYNAMATH = {
    "id": "12",
    "question": "What is the area of the shaded region?",
    "image": "images/12.png",
    "decoded_image": picture(),
    "ground_truth": "2.667",
    "answer_type": "float",
    "subject": "plane geometry",
    "knowledge_level": "high school",
}
DYNAMATH_CHOICE = DYNAMATH | {
    "id": "13",
    "question": "Is the function convex? choice: (A) convex (B) concave",
    "ground_truth": "B",
    "answer_type": "multiple choice",
}
EMBSPATIAL = {
    "question_id": "mp3d_0",
    "question": "Which object is behind the table?",
    "answer_options": ["cushion", "plant", "lamp", "bed"],
    "answer": 1,
    "image": picture(),
    "relation": "behind",
    "data_source": "mp3d",
}
INFOVQA = {
    "questionId": "98313",
    "question": "How many companies have more than 10K delivery workers?",
    "answers": ["2", "two"],
    "answer_type": ["single span"],
    "image": picture(),
    "image_url": "...",
    "ocr": "...",
    "operation/reasoning": ["counting"],
    "data_split": "val",
}
MATHVERSE = {
    "sample_index": "1",
    "problem_index": "1",
    "problem_version": "Text Dominant",
    "question": "Line CD is parallel to AB. Find x.\nChoices:\nA:40°\nB:50°\nC:60°\nD:70°",
    "image": picture(),
    "answer": "C",
    "question_type": "multi-choice",
    "metadata": {"split": "testmini", "source": "GeoQA", "subject": "Plane Geometry", "subfield": "Line"},
    "query_wo": "Please directly answer the question and provide the correct option letter, e.g., A, B, C, D.\n...",
    "query_cot": "Please first conduct reasoning, and then answer the question ...",
    "question_for_eval": "Line CD is parallel to AB. Find x.\nChoices:\nA:40°\nB:50°\nC:60°\nD:70°",
}
MATHVERSE_VISION = MATHVERSE | {"sample_index": "5", "problem_version": "Vision Only", "question": ""}
MATHVERSE_FREE = MATHVERSE | {
    "sample_index": "6",
    "question": "Find the length of AB.",
    "answer": "2\\sqrt{3}",
    "question_type": "free-form",
    "question_for_eval": "Find the length of AB.",
}
MATHVISION = {
    "id": "4",
    "question": "Which piece completes the square?\n<image1>",
    "options": ["<image2>", "<image3>", "<image4>"],
    "image": "images/4.jpg",
    "decoded_image": picture(),
    "answer": "B",
    "solution": None,
    "level": 2,
    "subject": "combinatorial geometry",
}
MATHVISION_FREE = MATHVISION | {"id": "5", "question": "<image1>\nHow many?", "options": [], "answer": "12"}
MATHVISTA = {
    "pid": "1",
    "question": "What is the fraction of females facing the camera?",
    "image": "images/1.jpg",
    "decoded_image": picture(),
    "choices": None,
    "unit": None,
    "precision": 1.0,
    "answer": "0.6",
    "question_type": "free_form",
    "answer_type": "float",
    "metadata": {"category": "general-vqa", "task": "visual question answering", "split": "testmini"},
    "query": "Hint: Please answer the question requiring a floating-point number with one decimal place ...",
}
MATHVISTA_CHOICE = MATHVISTA | {
    "pid": "2",
    "question": "What fraction of the shape is blue?",
    "choices": ["3/11", "8/11", "6/11"],
    "precision": None,
    "answer": "8/11",
    "question_type": "multi_choice",
    "answer_type": "text",
}
MMMU_PRO = {
    "id": "test_History_301",
    "question": "<image 1> Compare it with <image 2>. Which is older?",
    "options": "['the first', '<image 2>', 'neither']",
    "explanation": "?",
    **{f"image_{number}": picture(number) if number < 3 else None for number in range(1, 8)},
    "img_type": "['Photographs']",
    "answer": "A",
    "topic_difficulty": "Hard",
    "subject": "History",
}
MMMU_PRO_VISION = {
    "id": "test_History_301",
    "image": picture(),
    "options": "['the first', 'the second', 'neither']",
    "answer": "A",
    "subject": "History",
}
MMVET = {
    "question_id": "v1_0",
    "image": picture(),
    "question": "What is x in the equation?",
    "answer": "-1<AND>-5",
    "image_source": "...",
    "capability": "ocr,math",
}
OCRBENCH = {
    "id": 0,
    "dataset_name": "IIIT5K",
    "question": "What is written in the image?",
    "type": "text recognition en",
    "answers": ["CENTRE"],
    "image": picture(),
    "eval": "None",
    "bbox": None,
    "bbox_list": None,
    "content": None,
}
VISUALPUZZLES = {
    "id": 3,
    "category": "spatial",
    "image": picture(),
    "question": "What is the maximum number of pieces that he can eat?",
    "options": ["32", "35", "37", "40"],
    "answer": "C",
}
VISUALPUZZLES_DRAWN = VISUALPUZZLES | {"id": 4, "question": "Which figure in <image2> fits <image1>?", "options": None}
VLMSAREBLIND = {
    "task": "Subway Connections",
    "image": picture(),
    "prompt": "How many single-colored paths go from A to C? Answer with a number in curly brackets, e.g., {3}",
    "groundtruth": "2",
    "metadata": "{}",
}
WEMATH = {
    "ID": "12",
    "split": "testmini",
    "knowledge concept": "Perimeter of Squares",
    "question": "As shown in the diagram, how long is the fence (  )?",
    "option": "A. 12 m; B. 16 m; C. 18 m; D. No correct answer",
    "answer": "B",
    "image_path": picture(),
    "key": "2steps_1",
    "question number": 1,
    "knowledge concept description": "...",
}
MMVU = {
    "id": "validation_1",
    "video": "https://huggingface.co/datasets/yale-nlp/MMVU/resolve/main/videos/Art/0.mp4",
    "youtube_url": "...",
    "question_type": "multiple-choice",
    "metadata": "{'subject': 'Art', 'textbook': '...'}",
    "question": "Which technique is shown?",
    "choices": {"A": "Pan", "B": "Tilt", "C": "Dolly zoom", "D": "Crane", "E": "Cut"},
    "answer": "C",
}
MMVU_OPEN = MMVU | {
    "id": "validation_0",
    "question_type": "open-ended",
    "choices": dict.fromkeys("ABCDE", ""),
    "answer": "Dolly Zoom",
}
MVBENCH = {
    "video": "166583.mp4",
    "question": "What is the action performed by the person?",
    "candidates": ["Not sure", "Scattering something down", "Piling something up"],
    "answer": "Piling something up",
}
VIDEOMME = {
    "video_id": "001",
    "duration": "short",
    "domain": "Knowledge",
    "sub_category": "Humanity & History",
    "url": "...",
    "videoID": "fFjv93ACGo8",
    "question_id": "001-1",
    "task_type": "Counting Problem",
    "question": "When showing the Christmas tree, how many apples are there?",
    "options": ["A. 3.", "B. 5.", "C. 7.", "D. 9."],
    "answer": "B",
}
VIDEOMMMU = {
    "id": "validation_Art_Theory_1",
    "question": "Which theory is explained?",
    "options": ["A. one", "B. two", "C. three"],
    "answer": "C",
    "question_type": "multiple-choice",
}
VIDEOMMMU_OPEN = {
    "id": "test_Accounting_2",
    "question": "How large is the cost in <image 1>?",
    "options": [],
    "answer": "28.35",
    "question_type": "open",
    "image": picture(),
}
