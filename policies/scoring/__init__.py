"""Serving a bundle: the same fold, features, constraints and allocation as in the simulator."""
