"""Who decides: rules, learners, and what is exported and served of them."""
