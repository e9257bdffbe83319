"""Paired rollouts: what an offer is worth, learned from branches, acted on with caution."""
