"""Policies that learn from what they observe: contextual bandits and continuous experiments."""
