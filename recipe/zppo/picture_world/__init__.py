"""The embedded world with pictures: a tiny Qwen3.5 student, a stronger teacher, and drawn pictures with questions.

Nothing is downloaded. See :mod:`recipe.zppo.picture_world.questions` for the task.
"""
