"""Upgrades keep the database compatible with the previous version, which may still run on other hosts."""

from django.apps import apps
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import AddField
from django.db.models import NOT_PROVIDED


def test_the_previous_version_can_insert_rows_after_an_upgrade() -> None:
    """The previous version omits new columns, so they need defaults in the schema.

    Django does not add these by itself.
    """
    loader = MigrationLoader(None)
    added = {
        (operation.model_name, operation.name)
        for (label, _), migration in loader.disk_migrations.items()
        if label == "ninjacam"
        for operation in migration.operations
        if isinstance(operation, AddField)
    }
    assert ("camera", "sleeps") in added
    fields = {
        (model._meta.model_name, field.name): field
        for model in apps.get_app_config("ninjacam").get_models()
        for field in model._meta.local_fields
    }
    refused = [
        ".".join(names)
        for names, field in fields.items()
        if names in added and not field.null and field.db_default is NOT_PROVIDED
    ]
    assert refused == [], "add db_default: see docs/how-to/add-a-migration.md"
