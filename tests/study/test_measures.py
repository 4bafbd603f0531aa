"""What a run came to: which of its validations is called what."""

import csv
import io

import pytest

from recipe.zppo.study.comparison import RowResult
from recipe.zppo.study.measures import measure
from recipe.zppo.study.tables import markdown, runs_csv
from tests.study.fake_backend import metrics

SOURCES = {"held_out": ["price_list"], "shifted": ["price_list_shifted"]}
NAMES = ("accuracy_before", "accuracy", "shifted_accuracy_before", "shifted_accuracy")


@pytest.mark.parametrize(
    ("first", "before", "shifted_before"),
    [pytest.param(0, 0.2, 0.1, id="before training"), pytest.param(1, None, None, id="val_before_train=false")],
)
def test_before_is_the_student_that_nobody_has_trained(first: int, before: float | None, shifted_before: float | None):
    found = measure([metrics("zppo", 0, step, 4) for step in range(first, 5)], SOURCES)
    last = metrics("zppo", 0, 4, 4)
    after = (last[f"val-core/{source}/acc/mean@1"] for source in ("price_list", "price_list_shifted"))
    expected = dict(zip(NAMES, (before, next(after), shifted_before, next(after)), strict=True))
    assert {name: found[name] for name in NAMES} == pytest.approx(expected)


def test_a_table_has_no_number_where_nobody_measured_before():
    found = measure([metrics("zppo", 0, step, 4) for step in range(1, 5)], SOURCES)
    results = {"firm": [RowResult("firm", "zppo", "ZPPO", {0: found}, steps=4)]}
    assert "| ZPPO | 1 | 4 | " in markdown(results, "zppo", [])
    (row,) = csv.DictReader(io.StringIO(runs_csv(results)))
    assert row["accuracy_before"] == "" and float(row["accuracy"]) == found["accuracy"]
