"""Reading a run, finished or not: summary, progress, figures, comparisons, lives of questions. May import: the method, run."""
