"""Data files of different writers as one table: one type for each column.

`datasets` joins files whose types are equal to the letter only. pandas 3 writes texts as `large_string`, `datasets` as
`string`; a field that is empty in all rows of a file has the type `null`; and files differ in the fields of
`extra_info`. Whatever loses nothing is brought to one type here. Gold answers of which some are numbers and some text
become the text that the reward compares, and so do ids.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import datasets

from recipe.zppo.errors import DataError, RewardError
from recipe.zppo.on_verl.columns import with_column
from recipe.zppo.reward import gold_answer

GOLD = "reward_model.ground_truth"

_WIDEST = {
    **dict.fromkeys(("large_string", "string_view"), "string"),
    **dict.fromkeys(("large_binary", "binary_view"), "binary"),
    **dict.fromkeys(("int8", "int16", "int32", "uint8", "uint16", "uint32"), "int64"),
    **dict.fromkeys(("float16", "float32"), "float64"),
}
_PLAIN = ("string", "int64", "uint64", "float64", "bool")
TEXT, NOTHING = datasets.Value("string"), datasets.Value("null")


def with_common_types(
    frames: Sequence[datasets.Dataset], files: Sequence[str], skipped: Sequence[str] = (), id_column: str = ""
) -> list[datasets.Dataset]:
    """The frames with the types of `common_features`; where all agree they are not copied.

    Args:
        skipped: columns that are left as they are.
        id_column: the column of ids, if there is one.

    Raises:
        DataError: see `common_features`.
    """
    features = {file: frame.features for file, frame in zip(files, frames, strict=True)}
    common = common_features(features, skipped, id_column)
    return [_cast(frame, common, file) for frame, file in zip(frames, files, strict=True)]


def common_features(
    features: Mapping[str, datasets.Features], skipped: Sequence[str] = (), id_column: str = ""
) -> dict[str, Any]:
    """The type of each column in which files differ.

    Args:
        features: the types of a file's columns, by file.
        skipped, id_column: see `with_common_types`.

    Raises:
        DataError: a column that can't have one type, such as numbers in one file and text in another.
    """
    common: dict[str, Any] = {}
    as_text = (GOLD, id_column)
    for name in dict.fromkeys(name for found in features.values() for name in found):
        having = {file: found[name] for file, found in features.items() if name in found}
        first, *others = having.values()
        if name in skipped or all(other == first for other in others):
            continue
        file, kind = next(iter(having.items()))
        kind = _widest(kind)
        for other_file, other in having.items():
            kind = _merged(kind, _widest(other), name, file, other_file, as_text)
        common[name] = kind
    return common


def golds_become_text(features: datasets.Features, common: Mapping[str, Any]) -> bool:
    """Whether a file's gold answers are of another type, and become text by the rule for those that can be compared.

    Args:
        features: the file's.
        common: what `common_features` gives.
    """
    column, field = GOLD.split(".")
    kind = features.get(column)
    if not isinstance(kind, dict) or common.get(column, kind).get(field) != TEXT:
        return False
    return _widest(kind.get(field)) not in (None, TEXT, NOTHING)


def _cast(frame: datasets.Dataset, common: dict[str, Any], file: str) -> datasets.Dataset:
    wanted = {name: common.get(name, kind) for name, kind in frame.features.items()}
    if wanted == dict(frame.features):
        return frame
    if golds_become_text(frame.features, common):
        column, field = GOLD.split(".")
        frame = with_column(frame, column, _with_texts(frame, file), {**frame.features[column], field: TEXT})
    return frame.cast(datasets.Features({name: wanted[name] for name in frame.column_names}))


def _with_texts(frame: datasets.Dataset, file: str) -> list[Any]:
    column, field = GOLD.split(".")
    found = []
    for number, value in enumerate(frame.data.column(column).to_pylist()):
        if value and value[field] is not None:
            try:
                value = value | {field: gold_answer(value[field])}
            except RewardError as error:
                raise DataError(f"{file}: row {number}: {error}") from error
        found.append(value)
    return found


def _widest(kind: Any) -> Any:
    if isinstance(kind, datasets.Value):
        return datasets.Value(_WIDEST.get(kind.dtype, kind.dtype))
    if isinstance(kind, datasets.List | datasets.LargeList):
        return datasets.List(_widest(kind.feature))
    if isinstance(kind, dict):
        return {name: _widest(inner) for name, inner in kind.items()}
    return kind


def _merged(kind: Any, other: Any, column: str, file: str, other_file: str, as_text: Sequence[str]) -> Any:
    if other in (kind, NOTHING):
        return kind
    if kind == NOTHING:
        return other
    if isinstance(kind, dict) and isinstance(other, dict):
        both = {**other, **kind}
        return {
            name: _merged(kind.get(name, inner), other.get(name, inner), f"{column}.{name}", file, other_file, as_text)
            for name, inner in both.items()
        }
    if column in as_text and _is_plain(kind) and _is_plain(other):
        return TEXT
    if isinstance(kind, datasets.List) and isinstance(other, datasets.List):
        return datasets.List(_merged(kind.feature, other.feature, column, file, other_file, as_text))
    raise DataError(
        f"{file} and {other_file} do not go together: {column} is {_name(kind)} in one and {_name(other)} in the "
        "other; write them with one type"
    )


def _is_plain(kind: Any) -> bool:
    """A text, a number or a truth value, or a list of them."""
    kind = kind.feature if isinstance(kind, datasets.List) else kind
    return isinstance(kind, datasets.Value) and kind.dtype in _PLAIN


def _name(kind: Any) -> str:
    if isinstance(kind, datasets.Value):
        return kind.dtype
    return "a struct" if isinstance(kind, dict) else f"a {type(kind).__name__.lower()}"
