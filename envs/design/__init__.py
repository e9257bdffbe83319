"""A whole programme as a decision problem, a quarter at a time."""
