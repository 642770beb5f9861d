"""Exports of conversations to files: formats are in `library.formats`, and here is what surrounds them."""
