"""Who is in the data and in the samples, by how much, and what the filters do to it."""
