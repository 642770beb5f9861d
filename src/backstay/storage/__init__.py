"""The databases. Each implements the protocols of `batch.store` and `library.store`; one suite tests them all."""
