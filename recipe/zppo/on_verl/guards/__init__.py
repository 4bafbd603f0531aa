"""Limits and failures that verl leaves open: waits, lost connections, dead workers, pools by node."""
