"""The only folder that imports verl's trainer. May import: all of the above."""
