"""The networks, one per file, each with its configuration directly above it."""
