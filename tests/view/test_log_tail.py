from pathlib import Path

import pytest

from recipe.zppo.view.log_tail import telling_lines

LOG = """\
zppo: an early note
Traceback (most recent call last):
  File "a.py", line 1, in <module>
ValueError: an old error
step 1\rstep 2\rstep 3
\x1b[36m(ZPPOTaskRunner pid=123, ip=10.0.0.1)\x1b[0m Traceback (most recent call last):
\x1b[36m(ZPPOTaskRunner pid=123, ip=10.0.0.1)\x1b[0m   File "b.py", line 2, in step
\x1b[36m(ZPPOTaskRunner pid=123, ip=10.0.0.1)\x1b[0m     boom()
\x1b[36m(ZPPOTaskRunner pid=123, ip=10.0.0.1)\x1b[0m RolloutError: no answers
(raylet) something else
zppo: the run stopped: RolloutError: no answers
zppo: the run stopped: RolloutError: no answers
shutting down
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "train.log"


def test_the_last_traceback_and_our_messages(path: Path):
    path.write_text(LOG)
    assert telling_lines(path) == [
        "Traceback (most recent call last):",
        '  File "b.py", line 2, in step',
        "    boom()",
        "RolloutError: no answers",
        "zppo: an early note",
        "zppo: the run stopped: RolloutError: no answers",
    ]


def test_without_either_the_last_lines(path: Path):
    path.write_text("".join(f"line {i}\n\n" for i in range(100)))
    assert telling_lines(path) == [f"line {i}" for i in range(92, 100)]


def test_a_long_traceback_keeps_its_end(path: Path):
    frames = "".join(f'  File "f{i}.py"\n' for i in range(500))
    path.write_text(f"Traceback (most recent call last):\n{frames}KeyError: 'x'\n")
    lines = telling_lines(path)
    assert len(lines) == 24
    assert lines[0].startswith("Traceback") and lines[-1] == "KeyError: 'x'" and lines[-2] == '  File "f499.py"'


def test_a_huge_hostile_log_is_bounded_and_harmless(path: Path):
    path.write_bytes(b"\xff\x00\x1b]0;title\x07" * 400_000 + b"\nzppo: end \x1b[2J" + b"y" * 9999)
    (line,) = telling_lines(path)
    assert line.startswith("zppo: end y") and len(line) <= 500


def test_no_log_and_an_empty_one(tmp_path: Path):
    assert "cannot be read: No such file" in telling_lines(tmp_path / "missing")[0]
    (tmp_path / "empty").touch()
    assert telling_lines(tmp_path / "empty") == [f"the log {tmp_path / 'empty'} is empty"]
