"""What test runs share: waiting, sampling, requirements, commands, the record of failures."""
