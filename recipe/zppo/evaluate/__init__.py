"""Measures a model on the paper's benchmarks: ``python -m recipe.zppo.evaluate model=PATH``.

settings.py      the keys
protocol.py      the one decoding, the closer, the judge's settings
engines/         who answers: a server, vLLM on this machine, Hugging Face on the CPU
evaluation.py    all benchmarks of all models; models.py says what must stay the same to go on
runner.py        one benchmark: bounded requests, retries
log.py           its lines, which a killed command goes on from; tally.py makes its numbers of them
results.py       the folder: `results.json`, a line a question
progress.py      how far it is
paper.py         the paper's numbers
table.py plot.py beside the paper's rows; report.py writes them
compare.py       two sides: evaluations, runs, rows of the paper
"""
