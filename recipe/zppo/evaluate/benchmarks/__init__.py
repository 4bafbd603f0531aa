"""The paper's benchmarks, one file each; `BENCHMARKS` has them in the order of Table 5."""
