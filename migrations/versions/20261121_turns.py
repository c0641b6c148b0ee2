"""Whose turn it is among the jobs of all models, in an index.

Revision: 0007_turns
Follows: 0006_retention
"""

import sqlalchemy as sa
from alembic import op

revision = "0007_turns"
down_revision = "0006_retention"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the database forward."""
    op.add_column("jobs", sa.Column("rank", sa.SmallInteger(), server_default="0", nullable=False))
    op.add_column(
        "jobs",
        sa.Column(
            "turn_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now() + '1 mon'::interval"),
            nullable=False,
        ),
    )
    op.execute(
        "UPDATE jobs SET turn_at = coalesce(due_at, created_at + interval '1 month'), "
        "rank = CASE kind WHEN 'study' THEN 2 WHEN 'refresh' THEN 1 ELSE 0 END "
        "WHERE state IN ('ready', 'running')"
    )
    op.create_index(
        "ix_jobs_turn", "jobs", ["rank", "turn_at", "position"], postgresql_where=sa.text("state = 'ready'")
    )
    op.create_index(
        "ix_jobs_ready_model",
        "jobs",
        ["model_id", "rank", "position"],
        postgresql_where=sa.text("state = 'ready'"),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_index("ix_jobs_ready_model", table_name="jobs")
    op.drop_index("ix_jobs_turn", table_name="jobs")
    op.drop_column("jobs", "turn_at")
    op.drop_column("jobs", "rank")
