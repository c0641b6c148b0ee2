"""Indexes by which old idempotency keys and ended jobs are found, and the run that a job left.

Revision: 0006_retention
Follows: 0005_fleet
"""

import sqlalchemy as sa
from alembic import op

revision = "0006_retention"
down_revision = "0005_fleet"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the database forward."""
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    op.create_index("ix_runs_job_id", "runs", ["job_id"])
    op.create_index("ix_jobs_done", "jobs", ["finished_at"], postgresql_where=sa.text("state = 'done'"))


def downgrade() -> None:
    """Take it back."""
    op.drop_index("ix_jobs_done", table_name="jobs")
    op.drop_index("ix_runs_job_id", table_name="runs")
    op.drop_index("ix_idempotency_keys_created_at", table_name="idempotency_keys")
