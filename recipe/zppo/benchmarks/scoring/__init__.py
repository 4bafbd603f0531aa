"""Rules that read an answer off a response, official metrics, official judges. Pure functions of texts.

reading.py    where the final answer stands in a response
choice.py     which option it names
short.py      whether a short free answer is the gold one
"""
