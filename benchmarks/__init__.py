"""What the recipe costs beside generation, log-probs and updates. Not tests: nothing here is run by pytest."""
