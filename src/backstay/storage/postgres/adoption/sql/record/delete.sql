-- Delete the record of an adoption.
DELETE FROM {{ schema }}.adopted
