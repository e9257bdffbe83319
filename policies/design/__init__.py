"""Who designs the programme: a search over static designs, and learners that redesign."""
