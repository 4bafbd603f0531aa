"""Reading a run, finished or not: summary, progress, figures, comparisons. May import: the method, run."""
