-- Whether a conversation may contain a text: the text index says so, or does not have it as it is. A part of other
-- statements. As an array, so that the keys are found first, and the server expects few. The sum and the concatenation
-- keep it from reading the texts of a range of keys instead of using the text index.
key = ANY (ARRAY(SELECT found.key
                   FROM {schema}.conversation_texts AS found
                  WHERE found.owner || '' = :owner
                    AND found.key + 0 > :text_after
                    AND found.key + 0 < :text_before
                    AND (found.text LIKE {lowered_pattern} OR found.text LIKE :text_pattern)
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
                  CROSS JOIN LATERAL (SELECT key
                                        FROM {schema}.conversations
                                       WHERE owner = :owner
                                         AND key BETWEEN unindexed.first_key AND unindexed.last_key
                                         AND key > :text_after
                                         AND key < :text_before
                                      OFFSET 0) AS changed))
