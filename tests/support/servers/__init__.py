"""The API in this process or in one of its own, with requests for each of its routes."""
