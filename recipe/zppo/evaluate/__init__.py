"""What a student has become: the paper's 31 benchmarks under one protocol (App. B.2, D.1).

benchmark.py     what a benchmark is: source, how a row becomes a question, who scores
benchmarks/      one file a benchmark, to be read beside its source
scoring/         rules that read an answer off a response, official metrics, official judges
protocol.py      the one decoding, the closer, the judge's settings
engines/         who answers: a server, vLLM on this machine, Hugging Face on the CPU
runner.py        bounded requests, retries, and a log that a killed command goes on from
results.py       the log, `results.json`; table.py beside the paper's rows
"""
