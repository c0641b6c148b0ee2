"""What a person types: the command line, the supervisor, the HTTP client and the offline verifier."""
