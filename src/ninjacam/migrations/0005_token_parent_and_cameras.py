from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def bind_scopes(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """A scope such as `view:door` now means the camera that bears the name today, not a later one."""
    database = schema_editor.connection.alias
    cameras = dict(apps.get_model("ninjacam", "Camera").objects.using(database).values_list("slug", "pk"))
    for token in apps.get_model("ninjacam", "ApiToken").objects.using(database).iterator():
        named = {str(scope).partition(":")[2] for scope in token.scopes if ":" in str(scope)}
        token.cameras = {slug: str(cameras[slug]) for slug in named if slug in cameras}
        if token.cameras:
            token.save(update_fields=["cameras"])


class Migration(migrations.Migration):
    dependencies = [("ninjacam", "0004_export")]

    operations = [
        migrations.AddField(
            model_name="apitoken",
            name="cameras",
            field=models.JSONField(default=dict, editable=False),
        ),
        migrations.AddField(
            model_name="apitoken",
            name="parent",
            field=models.ForeignKey(
                blank=True,
                editable=False,
                null=True,
                on_delete=models.deletion.CASCADE,
                related_name="children",
                to="ninjacam.apitoken",
                verbose_name="created with",
            ),
        ),
        migrations.RunPython(bind_scopes, migrations.RunPython.noop),
    ]
