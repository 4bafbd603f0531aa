"""A run as one page: ``python -m recipe.zppo.report RUN [RUN ...]`` (docs/guides/report.md).

- `payload`: everything that the page shows of the runs, as JSON; `head`, `charts`, `cost`, `setup`, `questions` and
  `texts` are its parts, `pictures` the images in it;
- `page`: one self-contained HTML file of it, with `assets/`; `serve`: the same page, kept current.

Numbers come from `view`, so that the page, the summary and the pictures agree. May import: all but commands.
"""
