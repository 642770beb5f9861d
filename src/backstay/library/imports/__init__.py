"""Import of conversations from files: native, OpenAI messages, ShareGPT, and backups."""
