"""Images and videos of a prompt, from the data files to the model. May import: the method."""
