"""The kernel that service and workers share: database, lifecycle, lineage, ledger, queue and storage."""
