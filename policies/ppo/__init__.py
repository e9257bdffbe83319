"""MaskablePPO on the native vector environment: network, learner, training."""
