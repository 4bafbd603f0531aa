"""Reading a run, finished or not: summary, progress, figures, comparisons, questions. May import: the method, run."""
