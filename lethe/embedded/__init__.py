"""PostgreSQL and Valkey from wheels, run as ordinary child processes out of one folder."""
