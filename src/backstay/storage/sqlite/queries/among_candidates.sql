-- Whether a conversation may contain a text: it has all its sequences of three characters, or is not in the text index. A
-- part of other statements.
key IN (SELECT rowid
          FROM {schema}.conversation_text
         WHERE conversation_text MATCH :text_terms
           AND rowid > :text_after
           AND rowid < :text_before
         UNION ALL
        SELECT lacking.key
          FROM {schema}.conversation_index AS lacking
         WHERE lacking.owner = :owner
           AND NOT lacking.has_text
           AND lacking.key > :text_after
           AND lacking.key < :text_before
         UNION ALL
        SELECT changed.key
          FROM {unindexed} AS unindexed
         CROSS JOIN {schema}.conversations AS changed
            ON changed.owner = :owner
           AND changed.key BETWEEN unindexed.first_key AND unindexed.last_key
           AND changed.key > :text_after
           AND changed.key < :text_before)
