"""Images and a question. One file a benchmark, in the order of Table 5."""
