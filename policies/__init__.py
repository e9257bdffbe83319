"""Who decides: heuristics, learned policies, and their export."""
