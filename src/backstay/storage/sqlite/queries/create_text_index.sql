-- Create the text index: of each conversation, which sequences of three characters are in its text, and not where.
CREATE VIRTUAL TABLE {schema}.conversation_text USING fts5(
    text, content = '', contentless_delete = 1, detail = none, tokenize = 'trigram case_sensitive 1'
);
CREATE INDEX {schema}.conversation_index_without_text ON conversation_index (owner, key) WHERE NOT has_text
