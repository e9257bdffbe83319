"""The benchmark of policies: a frozen protocol, its cells, and what may be said of them."""
