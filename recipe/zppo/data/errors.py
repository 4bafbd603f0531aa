"""What can go wrong while data files are built; each message is one line that says what to do."""

from recipe.zppo.errors import DataError


class BuildError(DataError):
    """Data files can't be built: a source is missing, has another schema, or the output can't be written."""


class RowError(DataError):
    """A row that no trainer could use: no question, no answer, or placeholders that don't match its images."""
