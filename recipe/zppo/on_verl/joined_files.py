"""Data files of different writers as one table: one type for each column.

`datasets` joins files whose types are equal to the letter only. pandas 3 writes texts as `large_string`, `datasets` as
`string`; a field that is empty in all rows of a file has the type `null`; and files differ in the fields of
`extra_info`. Whatever loses nothing is brought to one type here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import datasets

from recipe.zppo.errors import DataError

_WIDEST = {
    **dict.fromkeys(("large_string", "string_view"), "string"),
    **dict.fromkeys(("large_binary", "binary_view"), "binary"),
    **dict.fromkeys(("int8", "int16", "int32", "uint8", "uint16", "uint32"), "int64"),
    **dict.fromkeys(("float16", "float32"), "float64"),
}


def with_common_types(
    frames: Sequence[datasets.Dataset], files: Sequence[str], skipped: Sequence[str] = ()
) -> list[datasets.Dataset]:
    """The frames with the types of `common_features`; where all agree they are not copied.

    Args:
        skipped: columns that are left as they are.

    Raises:
        DataError: see `common_features`.
    """
    common = common_features({file: frame.features for file, frame in zip(files, frames, strict=True)}, skipped)
    return [_cast(frame, common) for frame in frames]


def common_features(features: Mapping[str, datasets.Features], skipped: Sequence[str] = ()) -> dict[str, Any]:
    """The type of each column in which files differ.

    Args:
        features: the types of a file's columns, by file.

    Raises:
        DataError: a column that can't have one type, such as numbers in one file and text in another.
    """
    common: dict[str, Any] = {}
    for name in dict.fromkeys(name for found in features.values() for name in found):
        having = {file: found[name] for file, found in features.items() if name in found}
        first, *others = having.values()
        if name in skipped or all(other == first for other in others):
            continue
        file, kind = next(iter(having.items()))
        kind = _widest(kind)
        for other_file, other in having.items():
            kind = _merged(kind, _widest(other), name, file, other_file)
        common[name] = kind
    return common


def _cast(frame: datasets.Dataset, common: dict[str, Any]) -> datasets.Dataset:
    wanted = {name: common.get(name, kind) for name, kind in frame.features.items()}
    return frame if wanted == dict(frame.features) else frame.cast(datasets.Features(wanted))


def _widest(kind: Any) -> Any:
    if isinstance(kind, datasets.Value):
        return datasets.Value(_WIDEST.get(kind.dtype, kind.dtype))
    if isinstance(kind, datasets.List | datasets.LargeList):
        return datasets.List(_widest(kind.feature))
    if isinstance(kind, dict):
        return {name: _widest(inner) for name, inner in kind.items()}
    return kind


def _merged(kind: Any, other: Any, column: str, file: str, other_file: str) -> Any:
    nothing = datasets.Value("null")
    if other in (kind, nothing):
        return kind
    if kind == nothing:
        return other
    if isinstance(kind, dict) and isinstance(other, dict):
        both = {**other, **kind}
        return {
            name: _merged(kind.get(name, inner), other.get(name, inner), f"{column}.{name}", file, other_file)
            for name, inner in both.items()
        }
    if isinstance(kind, datasets.List) and isinstance(other, datasets.List):
        return datasets.List(_merged(kind.feature, other.feature, column, file, other_file))
    raise DataError(
        f"{file} and {other_file} do not go together: {column} is {_name(kind)} in one and {_name(other)} in the "
        "other; write them with one type"
    )


def _name(kind: Any) -> str:
    if isinstance(kind, datasets.Value):
        return kind.dtype
    return "a struct" if isinstance(kind, dict) else f"a {type(kind).__name__.lower()}"
