"""Who may call: API keys, their scopes, and the principal behind a request."""
