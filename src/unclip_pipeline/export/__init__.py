"""Hand trained networks to diffusers and transformers; needs the `export` extra."""
