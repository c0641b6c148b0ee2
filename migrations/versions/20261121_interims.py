"""The open requests that an interim version has forgotten, in an index.

Revision: 0008_interims
Follows: 0007_turns
"""

import sqlalchemy as sa
from alembic import op

revision = "0008_interims"
down_revision = "0007_turns"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the database forward."""
    op.create_index(
        "ix_forget_requests_interim",
        "forget_requests",
        ["model_id", "status"],
        postgresql_where=sa.text("interim IS NOT NULL"),
    )


def downgrade() -> None:
    """Take it back."""
    op.drop_index("ix_forget_requests_interim", table_name="forget_requests")
