"""Writers, one a file."""
