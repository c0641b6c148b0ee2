"""What a person may accept, and which interim version forgot a request.

Revision: 0002_escalation
Follows: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002_escalation"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the database forward."""
    op.create_table(
        "candidates",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("base_number", sa.Integer(), nullable=False),
        sa.Column("guarantee", sa.String(length=20), nullable=False),
        sa.Column("verdict", sa.String(length=20), nullable=False),
        sa.Column("is_retrained", sa.Boolean(), nullable=False),
        sa.Column("files", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_candidates_model_id_models")),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_candidates")),
    )
    op.create_index("ix_candidates_model_id", "candidates", ["model_id"], unique=False)
    op.add_column("forget_requests", sa.Column("interim", postgresql.JSONB(astext_type=sa.Text())))
    op.add_column("runs", sa.Column("rung", sa.Integer()))
    op.add_column("runs", sa.Column("acceptance", postgresql.JSONB(astext_type=sa.Text())))


def downgrade() -> None:
    """Take it back."""
    op.drop_column("runs", "acceptance")
    op.drop_column("runs", "rung")
    op.drop_column("forget_requests", "interim")
    op.drop_index("ix_candidates_model_id", table_name="candidates")
    op.drop_table("candidates")
