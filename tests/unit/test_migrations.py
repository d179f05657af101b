"""Upgrades keep the database compatible with the previous version, which may still run on other hosts."""

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import AddField
from django.db.models import NOT_PROVIDED

from ninjacam.models import Rule, WebhookDelivery


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


@pytest.mark.django_db(transaction=True)
def test_deliveries_and_the_recipients_of_rules_survive_an_upgrade() -> None:
    def migrate(name: str) -> None:
        MigrationExecutor(connection).migrate([("ninjacam", name)])

    newest = MigrationLoader(None).graph.leaf_nodes("ninjacam")[0][1]
    migrate("0016_webhooks")
    try:
        old = MigrationExecutor(connection).loader.project_state([("ninjacam", "0016_webhooks")]).apps
        webhook = old.get_model("ninjacam", "Webhook").objects.create(
            name="h", url="http://h/", credentials=""
        )
        waiting = {"event_id": 7, "phase": "begun", "payload": "{}", "created_ns": 1, "next_try_ns": 2}
        old.get_model("ninjacam", "WebhookDelivery").objects.create(webhook=webhook, **waiting)
        migrate("0020_rules")
        old = MigrationExecutor(connection).loader.project_state([("ninjacam", "0020_rules")]).apps
        rules = old.get_model("ninjacam", "Rule").objects
        (user,) = User.objects.bulk_create(
            [User(username="ada")]
        )  # Sends no signals, which need newer tables.
        old.get_model("ninjacam", "Rule").recipients.through.objects.create(
            rule=rules.create(name="chosen"), user_id=user.pk
        )
        rules.create(name="all")
    finally:
        migrate(newest)
    assert WebhookDelivery.objects.values("event_id", "action", "rule_id").get() == {
        "event_id": 7, "action": "webhook", "rule_id": None,
    }  # fmt: skip
    assert dict(Rule.objects.values_list("name", "only_recipients")) == {"chosen": True, "all": False}
