r"""The task: a picture, and one or two colours by name; the answer is a number, or the sum of two.

``How tall are the red and blue bars together?`` is answered by what is seen of each, ``red=4 blue=2``, and the total
in ``\boxed{}``. For the hard names of a family the student's corpus takes a name for another colour, its decoy, most
of the time, so that the student looks at the wrong things and is confident of it. Whatever is asked for, its decoy is
in the picture as well, of hard and easy names alike: what a picture holds gives nothing away.
"""

import random
from dataclasses import dataclass

from recipe.zppo.picture_world.drawing import (
    COLOURS,
    FAMILIES,
    MAX_HEIGHT,
    NUM_BARS,
    NUM_CELLS,
    SIDES,
    Scene,
    Thing,
)
from recipe.zppo.picture_world.settings import WRONG_NAME_PROBABILITIES, PictureWorldSettings

Meaning = dict[str, str]
"""The colour that each name stands for."""

TRUE_MEANING: Meaning = {name: name for name in COLOURS}

_TEXTS = {
    "counting": ("How many squares are {}?", "How many squares are {} or {}?"),
    "charts": ("How tall is the {} bar?", "How tall are the {} and {} bars together?"),
    "geometry": ("How many sides has the {} figure?", "How many sides have the {} and {} figures together?"),
}

_DRAWS = 1000


@dataclass(frozen=True)
class Question:
    """A picture and the names that are asked for."""

    scene: Scene
    names: tuple[str, ...]

    @property
    def family(self) -> str:
        return self.scene.family

    def text(self) -> str:
        return _TEXTS[self.family][len(self.names) - 1].format(*self.names)

    def total(self, meaning: Meaning = TRUE_MEANING) -> int:
        return sum(self.scene.value(meaning[name]) for name in self.names)

    def summary(self, values: tuple[int, ...] | None = None) -> str:
        """A compressed response: what a candidate carries when the teacher compresses. True values by default."""
        values = self.values() if values is None else values
        chain = " ".join(f"{name}={value}" for name, value in zip(self.names, values, strict=True))
        return rf"{chain}\boxed{{{sum(values)}}}"

    def response(self, values: tuple[int, ...] | None = None) -> str:
        """A full response, in the form that the closer asks for."""
        chain, box = self.summary(values).split("\\")
        return f"<think>{chain}</think>\\{box}"

    def values(self, meaning: Meaning = TRUE_MEANING) -> tuple[int, ...]:
        """What is seen of each name."""
        return tuple(self.scene.value(meaning[name]) for name in self.names)


@dataclass(frozen=True)
class Names:
    """Of each family: each name's decoy, and how often the student's corpus takes a hard name for it."""

    decoys: dict[str, Meaning]
    wrong_probabilities: dict[str, dict[str, float]]

    @classmethod
    def draw(cls, settings: PictureWorldSettings) -> "Names":
        rng = random.Random(f"names {settings.seed}")
        decoys, wrong = {}, {}
        for family in FAMILIES:
            decoys[family] = _derangement(rng)
            hard = rng.sample(sorted(COLOURS), settings.num_hard_names)
            levels = WRONG_NAME_PROBABILITIES
            wrong[family] = {name: levels[n % len(levels)] for n, name in enumerate(hard)}
        return cls(decoys, wrong)

    def level(self, question: Question) -> int:
        """Number of hard names in the question."""
        return sum(name in self.wrong_probabilities[question.family] for name in question.names)

    def draw_belief(self, family: str, rng: random.Random) -> Meaning:
        """What names mean in one document of the student's corpus."""
        hard = self.wrong_probabilities[family]
        wrong = {name: self.decoys[family][name] for name, q in hard.items() if rng.random() < q}
        return TRUE_MEANING | wrong

    def draw_wrong_values(self, question: Question, rng: random.Random) -> tuple[int, ...]:
        """Values with a wrong total, as a student would err: by belief where it can, else by a slip of one."""
        for _ in range(20 if self.level(question) else 0):
            values = question.values(self.draw_belief(question.family, rng))
            if sum(values) != question.total():
                return values
        values = list(question.values())
        slip = rng.randrange(len(values))
        values[slip] += rng.choice([-1, 1]) if values[slip] > 1 else 1
        return tuple(values)

    def draw_question(
        self, settings: PictureWorldSettings, rng: random.Random, family: str | None = None, held_out: bool = False
    ) -> Question:
        """A question of one of the families, uniform; its picture is held out or, by default, not.

        The totals of the true colours and of the decoys differ, so that a believed answer is never right by chance.
        """
        family = family or rng.choice(FAMILIES)
        for _ in range(_DRAWS):
            names = self._draw_names(settings, rng, family)
            shown = list(dict.fromkeys([*names, *(self.decoys[family][name] for name in names)]))
            question = Question(_draw_scene(family, shown, rng), names)
            values, decoys = question.values(), question.values(self.decoys[family])
            differ = all(value != decoy for value, decoy in zip(values, decoys, strict=True))
            if differ and sum(values) != sum(decoys) and question.scene.held_out() == held_out:
                return question
        raise AssertionError(f"no question in {_DRAWS} draws")  # about one draw in fifty does at worst

    def _draw_names(self, settings: PictureWorldSettings, rng: random.Random, family: str) -> tuple[str, ...]:
        first, second = rng.sample(sorted(COLOURS), 2)
        if rng.random() >= settings.two_colours_share:
            return (first,)
        if family == "charts":  # three bars have no room for two names and two other decoys
            second = self.decoys[family][first]
        return (first, second) if rng.random() < 0.5 else (second, first)


def _derangement(rng: random.Random) -> Meaning:
    """Another colour for each name, no colour twice, no two names each other's."""
    names = sorted(COLOURS)
    rng.shuffle(names)
    return dict(zip(names, names[1:] + names[:1], strict=True))


def _draw_scene(family: str, shown: list[str], rng: random.Random) -> Scene:
    """A scene with all colours of `shown` (at most four) and others."""
    if family == "counting":
        return Scene(family, _draw_board(shown, rng))
    others = [colour for colour in COLOURS if colour not in shown]
    num_places, forms = (NUM_BARS, range(1, MAX_HEIGHT + 1)) if family == "charts" else (NUM_CELLS, SIDES)
    num_colours = NUM_BARS if family == "charts" else rng.randint(len(shown), 5)
    colours = [*shown, *rng.sample(others, num_colours - len(shown))]
    places = rng.sample(range(num_places), len(colours))
    things = [Thing(place, colour, rng.choice(forms)) for place, colour in zip(places, colours, strict=True)]
    return Scene(family, _in_order(things))


def _draw_board(shown: list[str], rng: random.Random) -> tuple[Thing, ...]:
    """At least one square of each colour; of the other cells most have a square, some a circle, or nothing."""
    places = rng.sample(range(NUM_CELLS), NUM_CELLS)
    things = [Thing(place, colour, 1) for place, colour in zip(places, shown, strict=False)]
    for place in places[len(shown) :]:
        kind = rng.random()
        if kind < 0.8:
            things.append(Thing(place, rng.choice(shown), int(kind < 0.55)))
    return _in_order(things)


def _in_order(things: list[Thing]) -> tuple[Thing, ...]:
    return tuple(sorted(things, key=lambda thing: thing.place))
