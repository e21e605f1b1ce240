"""The picture-text encoder: open_clip's models from scratch, by tag or from a file, frozen behind `Encoder`."""
