"""Who gets which offer: one action per customer, within every budget."""
