"""When a job is due and what its attempts left behind; which call brought a request.

Revision: 0003_under_load
Follows: 0002_escalation
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003_under_load"
down_revision = "0002_escalation"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the database forward."""
    op.add_column("jobs", sa.Column("due_at", sa.DateTime(timezone=True)))
    op.add_column(
        "jobs",
        sa.Column("evidence", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
    )
    op.add_column("forget_requests", sa.Column("correlation_id", sa.String(length=100)))
    op.add_column("forget_requests", sa.Column("trace_parent", sa.String(length=55)))


def downgrade() -> None:
    """Take it back."""
    op.drop_column("forget_requests", "trace_parent")
    op.drop_column("forget_requests", "correlation_id")
    op.drop_column("jobs", "evidence")
    op.drop_column("jobs", "due_at")
