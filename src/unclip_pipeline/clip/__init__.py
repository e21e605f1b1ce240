"""The picture-text encoder: an open_clip model from scratch, by tag or from a file, frozen behind `Encoder`."""
