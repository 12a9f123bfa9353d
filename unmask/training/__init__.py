"""Training tasks and the loop that runs them."""
