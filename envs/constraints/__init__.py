"""What no policy can break, and the books that would tell if one did (docs/constraints.md)."""
