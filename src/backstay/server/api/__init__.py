"""The routes, one file a noun. Each parses, calls one method of a service, and answers with an object."""
