"""One training loop for every network: it yields steps; the caller logs, saves and stops."""
