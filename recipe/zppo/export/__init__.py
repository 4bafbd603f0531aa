"""Taking a student away: any checkpoint of a run as a Hugging Face folder with a model card, and onto the hub.

``python -m recipe.zppo.export RUN [--step N] [--dtype D] [--to FOLDER] [--push OWNER/NAME]``. May import: what a run is
made of (`run`, `on_verl`, `local`) and `view`.
"""
