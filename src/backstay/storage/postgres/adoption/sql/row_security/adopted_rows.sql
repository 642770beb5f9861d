-- Hide adopted_rows, which shows the ids and owners of all rows.
REVOKE ALL ON {{ schema }}.adopted_rows FROM {{ strangers | join(", ") }};
