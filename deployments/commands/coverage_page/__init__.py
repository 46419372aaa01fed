"""The page that `coverage --html` writes: its template, style and script, and the Python that fills them."""
