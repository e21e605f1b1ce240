"""From a list of image URLs to a text-to-image model you can account for."""

__version__ = "0.1.0"
