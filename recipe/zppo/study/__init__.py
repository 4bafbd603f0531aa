"""Methods side by side: many runs on the embedded world, or on other data, and what they came to."""
