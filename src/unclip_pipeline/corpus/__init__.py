"""What a pair of image and caption is, and how pairs lie on disk."""
