-- What keeps new conversations from being stored, as far as it is known beforehand: nothing, in a file of ours.
SELECT NULL
