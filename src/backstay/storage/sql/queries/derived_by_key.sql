-- Return what index entries of these conversations would be.
SELECT key, turns, characters, model, has_tools
  FROM (SELECT
{derived}
          FROM {schema}.conversations AS stored
         WHERE stored.owner = :owner
           AND stored.key IN ({list:keys})) AS derived
