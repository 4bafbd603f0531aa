"""Rules that read an answer off a response, official metrics, official judges. Pure functions of texts.

reading.py    where the final answer stands in a response
choice.py     which option it names
short.py      whether a short free answer is the gold one
number.py     whether a number or a list of numbers is, as exactly as a benchmark wants it
final.py      the text that an official metric or judge is given
anls.py       ANLS (InfographicVQA)
ocrbench_v2.py  OCRBench v2's metrics, which lmms-eval has, in a bounded process
charxiv.py    CharXiv's descriptive questions, rubrics and judge
"""
