"""The legend of axis names used in jaxtyping signatures throughout the package.

    b   samples of a batch              n   rows of a table or prompts of a list
    c   channels                        h w height and width in pixels (s where both are equal)
    d   width of a CLIP embedding       l   tokens of a sequence
    e   width of a token                k   groups, classes or neighbours

Images are uint8 in 0..255 outside the networks and float in -1..1 inside them.
"""
