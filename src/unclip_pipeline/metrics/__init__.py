"""How good, how alike, how copied: figures computed from features, each with n, interval and extractor."""
