"""The commands of `zppo`: name, module, what it does."""

COMMANDS = {
    "train": ("verl.trainer.main_zppo", "train on verl's whole stack"),
    "local": ("recipe.zppo.local", "train in one process, without Ray, for small models"),
    "study": ("recipe.zppo.study", "many runs, and tables"),
    "watch": ("recipe.zppo.watch", "live progress of a run"),
    "summary": ("recipe.zppo.summary", "what changed, and what became of the hard questions"),
    "report": ("recipe.zppo.report", "one page of a run, with every hard question's story"),
    "plots": ("recipe.zppo.plots", "the paper's figures of a run"),
    "evaluate": ("recipe.zppo.evaluate", "the paper's benchmarks under its one protocol, beside its numbers"),
    "compare": ("recipe.zppo.compare", "two runs, evaluations or rows of the paper, with an interval"),
    "candidate-match": ("recipe.zppo.candidate_match", "whose answer the student gives under candidates"),
    "cue-audit": ("recipe.zppo.cue_audit", "whether looks tell the right candidate of a BCQ"),
    "export": ("recipe.zppo.export", "any checkpoint as a Hugging Face model, with a model card; push to the hub"),
    "merge-adapter": ("recipe.zppo.merge_adapter", "a LoRA student as one model"),
    "wait-for-nodes": ("recipe.zppo.wait_for_nodes", "wait until a Ray cluster is complete"),
    "world": ("recipe.zppo.world", "build the embedded world"),
    "picture-world": ("recipe.zppo.picture_world", "build the world of pictures"),
    "data convert": ("recipe.zppo.data.convert", "convert GSM8K, MATH, Geometry3K or files of yours"),
    "data zppo-77k": ("recipe.zppo.data.zppo_77k", "build the paper's corpus"),
    "data reasoning-gym": ("recipe.zppo.data.reasoning_gym", "generated questions"),
    "completion": ("recipe.zppo.completion", "print a script that completes commands and keys: bash, zsh or fish"),
}
