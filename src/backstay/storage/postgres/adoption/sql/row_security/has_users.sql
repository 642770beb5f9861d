-- Return whether the database has Supabase's users.
SELECT to_regclass('auth.users') IS NOT NULL
