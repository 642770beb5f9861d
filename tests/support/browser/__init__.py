"""A real browser on the pages, and the connection between both."""
