"""Columns of images and videos in data files: never opened by `datasets`, and of one form where files are joined."""

from typing import Any

import datasets


def left_encoded(dataframe: datasets.Dataset) -> datasets.Dataset:
    """The same rows, with images of the type `Image` as bytes or path; `datasets` would open them at each access."""
    features = datasets.Features({name: _encoded(feature) for name, feature in dataframe.features.items()})
    if features == dataframe.features:
        return dataframe
    info = dataframe.info.copy()
    info.features = features
    return datasets.Dataset(dataframe.data, info=info, split=dataframe.split, indices_table=dataframe._indices)


def as_list(value: Any) -> list[Any]:
    """A row's images or videos: a single one is a list of one, null is none."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) or type(value).__name__ == "ndarray" else [value]


def is_single(feature: Any) -> bool:
    """Whether a column of this type holds one image, not a list of them."""
    return not isinstance(feature, datasets.List | datasets.LargeList)


def with_one_form(frames: list[datasets.Dataset], column: str) -> list[datasets.Dataset]:
    """The frames with ``column`` as lists of bytes or paths where two of them disagree; equal ones are not copied."""
    forms = [frame.features[column] for frame in frames if column in frame.features]
    if all(form == forms[0] for form in forms):
        return frames
    common = datasets.List(datasets.Image(decode=False))
    return [
        _listed(frame, column).cast_column(column, common)
        if column in frame.features and frame.features[column] not in (common, datasets.Value("null"))
        else frame
        for frame in frames
    ]


def _listed(frame: datasets.Dataset, column: str) -> datasets.Dataset:
    """A column of single images as lists of one, written anew to `datasets`' cache."""
    kind = frame.features[column]
    if not is_single(kind):
        return frame
    features = datasets.Features({**frame.features, column: datasets.List(kind)})
    return frame.map(
        lambda values: {column: [None if value is None else [value] for value in values]},
        input_columns=column,
        batched=True,
        batch_size=64,
        features=features,
        desc=f"Column {column} as lists",
    )


def _encoded(feature: Any) -> Any:
    if isinstance(feature, datasets.Image):
        return datasets.Image(decode=False)
    if isinstance(feature, datasets.List):
        return datasets.List(_encoded(feature.feature), length=feature.length)
    if isinstance(feature, dict):
        return {name: _encoded(value) for name, value in feature.items()}
    return feature
