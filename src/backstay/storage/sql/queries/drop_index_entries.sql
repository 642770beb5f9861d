-- Delete all index entries of an owner.
DELETE FROM {schema}.conversation_index
 WHERE owner = :owner
