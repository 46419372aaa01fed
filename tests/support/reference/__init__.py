"""The pages of docs/reference that are made from the code: `make reference` writes them, a test compares them.

The text of a page is in `pages`: paragraphs for people, and the names of the pieces that the modules beside it make.
"""
