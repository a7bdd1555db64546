"""Pure folds: (state, event) -> (state, facts). No clock, no I/O, no randomness."""
