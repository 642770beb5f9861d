-- The inputs of a cleaned job are kept, compressed, many in one block; and items whose conversations were deleted are found.

-- Each input is either a row of item_inputs or in one block.
CREATE TABLE input_blocks (
    job_key         INTEGER NOT NULL REFERENCES jobs (key),
    first_position  INTEGER NOT NULL,                -- a block has all inputs from this position …
    last_position   INTEGER NOT NULL,                -- … to this one
    owner           TEXT NOT NULL,
    content         BLOB NOT NULL,                   -- JSON, compressed by zstd: a list of [topic, persona, parameters, line]
    PRIMARY KEY (job_key, first_position)
);

CREATE INDEX items_deleted ON items (job_key, position) WHERE deleted_at IS NOT NULL;
