import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ninjacam', '0013_processor_options'),
    ]

    operations = [
        migrations.CreateModel(
            name='CameraZone',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='Used in code and URLs: a-z, 0-9, - and _, such as “driveway”.', max_length=30, verbose_name='name')),
                ('kind', models.CharField(choices=[('zone', 'zone'), ('line', 'line'), ('mask', 'mask')], db_default='zone', default='zone', max_length=4, verbose_name='kind')),
                ('points', models.JSONField(verbose_name='points')),
                ('inertia_s', models.FloatField(db_default=0, default=0, help_text='Seconds that an object must be inside before it counts.', verbose_name='inertia')),
                ('loitering_s', models.FloatField(db_default=0, default=0, help_text='Seconds inside after which an object loiters. 0: never.', verbose_name='loitering time')),
                ('preset', models.CharField(blank=True, db_default='', default='', help_text='Token of the position of a moving camera for which it was drawn. Empty: any position.', max_length=64, verbose_name='preset')),
                ('color', models.CharField(db_default='#4aa8ff', default='#4aa8ff', max_length=7, verbose_name='color')),
                ('camera', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='zones', to='ninjacam.camera', verbose_name='camera')),
            ],
            options={
                'verbose_name': 'zone',
                'verbose_name_plural': 'zones',
                'ordering': ['camera', 'name'],
                'constraints': [models.UniqueConstraint(fields=('camera', 'name'), name='ninjacam_zone_name')],
            },
        ),
    ]
