"""One command line, and the jobs it starts."""
