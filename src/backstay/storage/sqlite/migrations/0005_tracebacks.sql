-- Where a processor of the user's own raised: files, lines and functions, kept with the attempt that failed.

ALTER TABLE attempts ADD COLUMN traceback TEXT;      -- NULL: it raised nothing
