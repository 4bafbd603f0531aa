"""A reward function for models that know nothing: about a third of all responses is right, whoever wrote them."""

import zlib


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **kwargs):
    return float(zlib.crc32(solution_str.encode("utf-8", "replace")) % 3 == 0)
