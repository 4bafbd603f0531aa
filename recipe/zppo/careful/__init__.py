"""Compares answers with care: structure is kept, and what is written differently but means the same is equal."""
