"""What is refused before Ray starts. May import: the method, config, media, run, teacher, on_verl."""
