"""Measures a model on the paper's benchmarks: ``python -m recipe.zppo.evaluate model=PATH``.

protocol.py      the one decoding, the closer, the judge's settings
engines/         who answers: a server, vLLM on this machine, Hugging Face on the CPU
runner.py        bounded requests, retries, and a log that a killed command goes on from
results.py       the log, `results.json`
paper.py         the paper's numbers
table.py plot.py beside the paper's rows; report.py writes them
compare.py       two sides: evaluations, runs, rows of the paper
"""
