"""The API routes, one file per noun. Each route parses, calls one method of a service, and returns an object."""
