"""Pictures and questions: seeded, right by their pixels, and giving nothing away."""

import io
import random

import pytest
from PIL import Image

from recipe.zppo.picture_world.drawing import COLOURS, FAMILIES, SIZE, draw, png
from recipe.zppo.picture_world.questions import Names
from recipe.zppo.picture_world.settings import WRONG_NAME_PROBABILITIES
from tests.picture_world import slow_reading

SEVERAL = 60


@pytest.fixture(params=FAMILIES)
def questions(request, settings, names):
    rng = random.Random(3)
    return [names.draw_question(settings, rng, request.param) for _ in range(SEVERAL)]


def test_answers_are_those_read_from_the_pixels(questions):
    for question in questions:
        image = draw(question.scene)
        assert image.size == (SIZE, SIZE)
        read = {name: slow_reading.read(question.family, image, rgb) for name, rgb in COLOURS.items()}
        assert tuple(read[name] for name in question.names) == question.values()
        assert sum(read[name] for name in question.names) == question.total()
        assert {name: question.scene.value(name) for name in COLOURS} == read


def test_no_other_colours_are_drawn(questions):
    # So no soft edges either: the pixels do not depend on how a version of the library blends them.
    for question in questions:
        assert slow_reading.colours(draw(question.scene)) == {COLOURS[t.colour] for t in question.scene.things}


def test_a_picture_comes_back_from_its_file(questions):
    image = draw(questions[0].scene)
    assert Image.open(io.BytesIO(png(image))).tobytes() == image.tobytes()


def test_the_same_scene_gives_the_same_bytes_and_another_scene_others(questions):
    assert [png(draw(q.scene)) for q in questions] == [png(draw(q.scene)) for q in questions]
    scenes = {question.scene.digest(): question.scene for question in questions}
    assert len({png(draw(scene)) for scene in scenes.values()}) == len(scenes) > SEVERAL / 2


def test_every_name_and_its_decoy_are_in_the_picture_and_differ(questions, names):
    for question in questions:
        decoys = names.decoys[question.family]
        for name in question.names:
            assert question.scene.value(name) != question.scene.value(decoys[name]) >= 1
        assert question.total(decoys) != question.total()


def test_texts_of_responses(questions):
    for question in questions:
        values = question.values()
        chain = " ".join(f"{name}={value}" for name, value in zip(question.names, values, strict=True))
        assert question.summary() == rf"{chain}\boxed{{{question.total()}}}"
        assert question.response() == rf"<think>{chain}</think>\boxed{{{question.total()}}}"


def test_wrong_values_have_a_wrong_total_and_are_believed_where_they_can(questions, names):
    rng = random.Random(5)
    for question in questions:
        wrong = names.draw_wrong_values(question, rng)
        assert sum(wrong) != question.total() and min(wrong) >= 0
        if names.level(question) and len(question.names) == 1:
            assert wrong == question.values(names.decoys[question.family])


def test_names_are_seeded_and_hard_ones_have_their_probabilities(settings, names):
    assert Names.draw(settings) == names
    for family in FAMILIES:
        decoys, hard = names.decoys[family], names.wrong_probabilities[family]
        assert set(decoys) == set(decoys.values()) == set(COLOURS)
        assert all(name != decoy and decoys[decoy] != name for name, decoy in decoys.items())
        assert len(hard) == settings.num_hard_names and set(hard.values()) == set(WRONG_NAME_PROBABILITIES)
    rng = random.Random(0)
    for family in FAMILIES:
        beliefs = [names.draw_belief(family, rng) for _ in range(2000)]
        for name in COLOURS:
            share = sum(belief[name] != name for belief in beliefs) / len(beliefs)
            assert share == pytest.approx(names.wrong_probabilities[family].get(name, 0.0), abs=0.03)
