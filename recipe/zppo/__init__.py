"""Zone of Proximal Policy Optimization (arXiv 2606.18216) on verl's V1 trainer."""
