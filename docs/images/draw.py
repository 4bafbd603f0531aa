"""Draws the pictures of README and docs, each for a light and for a dark page: ``python docs/images/draw.py``.

`step` is a question's way through a step. `results` is the table of the study on the firm world, read from
docs/notes/experiments/study.md. Plain SVG from the standard library, so that a test can compare the files.
"""

import re
from pathlib import Path

HERE = Path(__file__).parent
STUDY = HERE.parent / "notes" / "experiments" / "study.md"
METHODS = (
    "GRPO",
    "GRPO†",
    "GRPO†, all the data (80 steps)",
    "GRPO + Both",
    "GRPO† + NCQ",
    "GRPO† + BCQ",
    "ZPPO",
    "Hint",
    "Off-Distill†",
)
COLOURS = {
    "light": {"ink": "#1f2328", "soft": "#59636e", "line": "#848d97", "student": "#ddf4ff", "teacher": "#fff1e5",
              "buffer": "#dafbe1", "bar": "#54aeff", "grown": "#4ac26b", "grid": "#d1d9e0"},
    "dark": {"ink": "#f0f6fc", "soft": "#b7bdc8", "line": "#6e7681", "student": "#0c2d6b", "teacher": "#5a1e02",
             "buffer": "#033a16", "bar": "#1f6feb", "grown": "#238636", "grid": "#3d444d"},
}  # fmt: skip


def svg(width: int, height: int, title: str, body: list[str], colour: dict[str, str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, Helvetica, Arial, sans-serif" font-size="14" role="img">'
    )
    arrow = (
        '<defs><marker id="a" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0 10 5 0 10z" fill="{colour["line"]}"/></marker></defs>'
    )
    return "\n".join([head, f"<title>{title}</title>", arrow, *body, "</svg>"]) + "\n"


def text(x: float, y: float, content: str, fill: str, *, anchor: str = "middle", more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{fill}"{more}>{content}</text>'


def step(colour: dict[str, str]) -> str:
    """New and replayed questions, plain groups, teacher, BCQ and NCQ, update, buffer."""
    ink, soft = colour["ink"], colour["soft"]

    def box(x: int, y: int, width: int, height: int, fill: str, title: str, *lines: str) -> list[str]:
        middle = x + width / 2
        top = y + height / 2 + 5 - 9 * len(lines)
        rectangle = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{colour[fill]}" '
        return [
            rectangle + f'stroke="{colour["line"]}"/>',
            text(middle, top, title, ink, more=' font-weight="600"'),
            *(text(middle, top + 18 * (i + 1), line, soft, more=' font-size="13"') for i, line in enumerate(lines)),
        ]

    def path(points: str) -> str:
        return f'<path d="M{points}" fill="none" stroke="{colour["line"]}" stroke-width="1.5" marker-end="url(#a)"/>'

    def label(x: float, y: float, content: str, anchor: str = "middle") -> str:
        return text(x, y, content, soft, anchor=anchor, more=' font-size="13"')

    dashes = f'fill="none" stroke="{colour["line"]}" stroke-dasharray="5 4"'
    body = [
        *box(15, 40, 150, 60, "student", "New questions"),
        *box(15, 196, 150, 80, "buffer", "Replay buffer", "hard questions wait", "to be asked again"),
        *box(235, 30, 165, 80, "student", "Plain prompts", "the student answers", "each question 8 times"),
        *box(472, 30, 164, 80, "teacher", "Teacher", "answers each", "hard question 4 times"),
        f'<rect x="690" y="12" width="200" height="268" rx="10" {dashes}/>',
        *box(705, 30, 170, 80, "student", "BCQ prompt", "one right answer and", "one wrong one to read"),
        *box(705, 136, 170, 80, "student", "NCQ prompt", "all wrong answers", "to read"),
        label(790, 244, "the student answers"),
        label(790, 262, "each prompt 8 times"),
        *box(235, 330, 655, 62, "student", "Advantages, then 4 updates of the student",
             "learns only from tokens that it wrote itself"),
        path("165 70H233"),
        path("165 216H200V92H233"), label(206, 160, "again", "start"),
        path("262 110V256H167"), label(216, 275, "solved: leave", "middle"), label(216, 293, "hard: enter, stay"),
        path("400 70H470"), label(434, 60, "hard"),
        path("636 56H703"), label(662, 46, "right"),
        path("345 110V176H703"), label(520, 166, "wrong answers of the student"),
        path("668 176V88H703"),
        path("310 110V328"), label(318, 310, "all answers", "start"),
        path("790 280V328"), label(798, 310, "all answers", "start"),
    ]  # fmt: skip
    return svg(905, 405, "A question's way through a step of ZPPO", body, colour)


def study_section() -> str:
    """Of the page: the study on the firm world; later ones stand above it."""
    return STUDY.read_text(encoding="utf-8").split("the study: six methods of Table 3")[1].split("The mild world")[0]


def study_rows() -> dict[str, list[tuple[float, float] | None]]:
    """Of the firm world, by method: held-out accuracy and graduation rate, each (mean, half-width), in percent."""
    rows = {}
    for line in study_section().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 7 and cells[1].isdigit():
            measured = (re.fullmatch(r"([\d.]+) ± ([\d.]+)", cells[i]) for i in (2, 4))
            rows[cells[0]] = [match and (float(match[1]), float(match[2])) for match in measured]
    return rows


def study_seeds() -> dict[str, str]:
    """Number of seeds, by method."""
    return dict(re.findall(r"^\| ([^|]+) \| (\d+) \|", study_section(), re.M))


def results(colour: dict[str, str]) -> str:
    rows, seeds, body = study_rows(), study_seeds(), []
    ink, soft, top, bottom = colour["ink"], colour["soft"], 92, 92 + 26 + 30 * len(METHODS)
    title = "The study on the firm world, after 40 steps"
    small = ' font-size="12"'
    meaning = "bar: mean over n seeds; line: its 95% interval (Student's t), cut at 0 and 100; the numbers are both"
    body.append(text(10, 22, title, ink, anchor="start", more=' font-weight="600" font-size="16"'))
    body.append(text(10, 44, meaning, soft, anchor="start", more=small))
    for panel, (left, name, fill) in enumerate(
        [(275, "held-out questions right", "bar"), (670, "graduation rate", "grown")]
    ):
        body.append(text(left, top - 14, name, ink, anchor="start", more=' font-weight="600"'))
        for percent in (0, 25, 50, 75, 100):
            x = left + 2.8 * percent
            body.append(f'<path d="M{x:g} {top}V{bottom}" stroke="{colour["grid"]}"/>')
            body.append(text(x, bottom + 18, f"{percent}%", soft, more=small))
        for i, method in enumerate(METHODS):
            y, measured = top + 8 + 30 * i, rows[method][panel]
            if panel == 0:
                body.append(text(left - 10, y + 15, f"{method}, n={seeds[method]}", ink, anchor="end"))
            if measured is None:
                body.append(text(left + 8, y + 15, "no buffer", soft, anchor="start", more=small))
                continue
            mean, half = measured
            low, high = max(mean - half, 0), min(mean + half, 100)
            body.append(f'<rect x="{left}" y="{y}" width="{2.8 * mean:.1f}" height="20" fill="{colour[fill]}"/>')
            interval = f"M{left + 2.8 * low:.1f} {y + 10}H{left + 2.8 * high:.1f}"
            body.append(f'<path d="{interval}" stroke="{ink}" stroke-width="1.5"/>')
            beside = round(left + 2.8 * high + 6, 1)
            body.append(text(beside, y + 14, f"{mean:.1f} ± {half:.1f}", ink, anchor="start", more=small))
    return svg(1040, bottom + 30, f"{title}: held-out accuracy and graduation rate", body, colour)


def pictures() -> dict[str, str]:
    """Content by file name."""
    drawn = {}
    for theme, colour in COLOURS.items():
        drawn[f"step-{theme}.svg"] = step(colour)
        drawn[f"results-{theme}.svg"] = results(colour)
    return drawn


if __name__ == "__main__":
    for name, content in pictures().items():
        (HERE / name).write_text(content, encoding="utf-8")
