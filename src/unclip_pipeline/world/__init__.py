"""The embedded miniature web: renderer, captions, planted truth, server, judge and scorecard.

Only `render_world`, the scorecard, the hook that serves the site and the tests may import this package.
"""
