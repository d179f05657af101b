from django.db import migrations, models


def keep_choice(apps, schema_editor):
    rules = apps.get_model('ninjacam', 'Rule').objects.using(schema_editor.connection.alias)
    rules.filter(recipients__isnull=False).update(only_recipients=True)


class Migration(migrations.Migration):

    dependencies = [
        ('ninjacam', '0021_values'),
    ]

    operations = [
        migrations.AddField(
            model_name='rule',
            name='only_recipients',
            field=models.BooleanField(db_default=False, default=False, help_text='Others get no e-mail, even after all recipients were deleted.', verbose_name='only these recipients'),
        ),
        migrations.RunPython(keep_choice, migrations.RunPython.noop),
    ]
