"""Bundles: a trained policy as files that anybody can load, check and serve."""
