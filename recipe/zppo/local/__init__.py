"""ZPPO in one process, without Ray: for small models, for the study, and to read Algorithm 1 with a debugger.

``python -m recipe.zppo.local key=value ...`` takes the overrides of ``python -m verl.trainer.main_zppo`` and writes the
same files. Questions, pipeline, selection, replay buffer, advantages, loss function (verl's) and metrics are the same
code; only sampling, scoring and the update happen here instead of in verl's workers.
"""
