"""Asking a teacher, wherever it runs. May import: the method, config, media, rollout."""
