-- Return every trigger of the user with its text.
SELECT name, tbl_name, sql
  FROM sqlite_schema
 WHERE type = 'trigger'
   AND name NOT IN ('index_stored_conversation', 'index_changed_conversation', 'index_deleted_conversation',
                    'index_stored_turn', 'index_changed_turn', 'index_deleted_turn')
 ORDER BY tbl_name, name
