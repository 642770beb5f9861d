"""Limits that users can meet, each stated once for settings, options, requests, pages and services.

A batch size, a pause or a cache that no user meets stays in the module that uses it.
"""

MAX_ID = 512
"""Characters of an id, a job's name or an owner. PostgreSQL has no index over texts of more than 2,704 bytes."""
MAX_NAME = 1_000
"""Characters of the name of a column, a recipe or a processor."""
MAX_VERSION_BYTES = 32_000_000
"""Bytes of the kept versions of one conversation, which are part of its line in a backup."""
MAX_SEARCH = 1_000
"""Characters of a search text."""
MAX_PERSONA = 10_000
"""Characters of a persona that selects conversations; some are whole descriptions."""
MAX_REASON = 100
"""Characters of the reason of a backup, which is one cell of a list."""
MAX_TAG = 100
"""Characters of a tag."""
MAX_TAGS = 50
"""Tags of one conversation."""
MAX_NOTE = 10_000
"""Characters of the note of a review."""
MIN_RATING, MAX_RATING = 1, 5
MAX_HOST = 253
"""Characters of a host's name, in the domain name system."""

MAX_IDS = 10_000
"""Ids in one request. More are selected by a condition."""
MAX_ITEMS = 100_000
"""Items in the body of one request. More fit into an uploaded file, which is not held in memory."""
MAX_PAGE = 200
"""Entries of a page of the API."""
MAX_LIST_ENTRIES = 100_000
"""Entries in the list that a command prints; it holds them in memory."""
MAX_INTEGER = 2**63 - 1
"""The largest integer of both databases, and so of a cursor."""

MAX_ATTEMPTS = 1_000
MAX_CONCURRENCY = 10_000
"""Calls in flight. Each holds an open file, and a process may open some ten thousand."""
MAX_RPM = 10_000_000
MAX_TPM = 10_000_000_000
MIN_SECONDS, MAX_SECONDS = 0.001, 604_800
"""Seconds that an attempt may take, and that a run waits for a provider: a week at most."""
MAX_RUN_ITEMS = 10**12
"""Items that one run may be limited to: more than any job has."""

MAX_TURNS = 200
MAX_TEMPERATURE = 2
"""The highest that the providers accept."""
MAX_ANSWER_TOKENS = 10_000_000
MAX_PORT = 65_535
