"""Exports of conversations to files, folders and streams. The formats are in `library.formats`."""
