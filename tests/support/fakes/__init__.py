"""Stand-ins for the clock, for providers, for processors and for workers."""
