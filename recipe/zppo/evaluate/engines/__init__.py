"""Who answers: a server by its address, vLLM that is started here, Hugging Face on the CPU."""
