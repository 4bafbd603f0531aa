"""Rules that read an answer off a response, official metrics, official judges. Pure functions of texts."""
