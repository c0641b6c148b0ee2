"""Who is there, what was counted, and indexes for what an operator watches.

Revision: 0005_fleet
Follows: 0004_class_counts
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005_fleet"
down_revision = "0004_class_counts"
branch_labels = None
depends_on = None

UNPURGED = "withdrawn_at IS NOT NULL AND purged_at IS NULL"


def upgrade() -> None:
    """Bring the database forward."""
    op.create_table(
        "workers",
        sa.Column("owner", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("host", sa.String(length=200), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("device", sa.String(length=40)),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("job_id", sa.Uuid()),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "seen_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("owner", name="pk_workers"),
    )
    op.create_table(
        "counts",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("labels", sa.String(length=200), server_default="", nullable=False),
        sa.Column("amount", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_counts"),
    )
    op.create_index("ix_counts_name_labels", "counts", ["name", "labels"])
    op.create_index("ix_versions_unpurged", "versions", ["withdrawn_at"], postgresql_where=sa.text(UNPURGED))
    op.create_index("ix_jobs_parked", "jobs", ["model_id"], postgresql_where=sa.text("state = 'parked'"))


def downgrade() -> None:
    """Take it back."""
    op.drop_index("ix_jobs_parked", "jobs")
    op.drop_index("ix_versions_unpurged", "versions")
    op.drop_table("counts")
    op.drop_table("workers")
