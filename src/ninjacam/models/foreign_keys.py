"""Rows that one process writes while another one deletes the row that they refer to.

PostgreSQL checks our foreign keys when it commits, so a transaction would fail as a whole because of one row. SQLite
has one writer at a time: in a transaction that writes, nothing else changes.
"""

from django.db import connection, models


def check_foreign_keys() -> None:
    """Check the rows that this transaction has written. What they refer to is not deleted until it ends.

    Call it in a savepoint. Raises: IntegrityError: they refer to a row that was deleted.
    """
    if connection.vendor == "postgresql":
        connection.check_constraints()


def lock_for_deletion(row: models.Model) -> None:
    """Wait for transactions that write rows which refer to this one, so that they are deleted with it. Later ones fail
    in `check_foreign_keys`. Call it in the transaction that deletes the row.
    """
    type(row)._base_manager.select_for_update().filter(pk=row.pk).first()
