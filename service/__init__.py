"""The front door and system of record: HTTP, dashboard and the shared kernel."""
