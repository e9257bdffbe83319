"""Speed and memory, measured: what was measured, how it varied, and on which machine."""
