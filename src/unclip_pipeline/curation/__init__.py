"""From raw pairs to a clean set: rules that say why, and duplicates that name what stands for them."""
