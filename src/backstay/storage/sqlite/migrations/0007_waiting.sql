-- What the calls of a worker wait for, for everybody to see.

ALTER TABLE workers ADD COLUMN waiting TEXT;          -- JSON: reason, detail, until; NULL: they do not wait
