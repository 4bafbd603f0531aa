"""Data files for ZPPO: the paper's corpus, converters for what users have, and the shared writing of rows."""
