-- What the calls of a worker wait for, for everybody to see.

ALTER TABLE {schema}.workers ADD COLUMN waiting text;          -- JSON: reason, detail, until; NULL: they do not wait
