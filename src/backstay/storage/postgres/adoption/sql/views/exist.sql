-- Return whether the views exist. Dropping a user column with CASCADE drops them, too.
SELECT to_regclass('{{ schema }}.conversations') IS NOT NULL AND to_regclass('{{ schema }}.turns') IS NOT NULL
