"""One pipeline per verb; they meet only in the catalog."""
