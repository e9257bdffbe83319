"""Configuration as data: one folder a concern, one file an option, `demo.yaml` on top."""
