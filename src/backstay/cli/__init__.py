"""The command line: every command parses, calls one method of a service, and prints."""
