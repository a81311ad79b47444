"""The database port: tenants, configuration, CDRs and the outbox, on SQLite or PostgreSQL."""
