"""How many training samples each class has, counted once instead of with every request.

Revision: 0004_class_counts
Follows: 0003_under_load
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004_class_counts"
down_revision = "0003_under_load"
branch_labels = None
depends_on = None

COUNT = """
UPDATE datasets SET class_counts = counted.counts
FROM (
    SELECT dataset_id, jsonb_object_agg(label::text, count) AS counts
    FROM (
        SELECT dataset_id, label, count(*) AS count FROM samples WHERE split = 0 GROUP BY dataset_id, label
    ) AS by_class
    GROUP BY dataset_id
) AS counted
WHERE datasets.id = counted.dataset_id
"""


def upgrade() -> None:
    """Bring the database forward."""
    op.add_column("datasets", sa.Column("class_counts", postgresql.JSONB(astext_type=sa.Text())))
    op.execute(COUNT)


def downgrade() -> None:
    """Take it back."""
    op.drop_column("datasets", "class_counts")
