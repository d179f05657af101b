import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ninjacam', '0029_notifications'),
    ]

    operations = [
        migrations.CreateModel(
            name='EventEmbedding',
            fields=[
                ('event', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='embedding', serialize=False, to='ninjacam.event', verbose_name='event')),
                ('model', models.CharField(max_length=16, verbose_name='model')),
                ('vector', models.BinaryField(verbose_name='vector')),
            ],
            options={
                'verbose_name': 'vector of an event',
                'verbose_name_plural': 'vectors of events',
            },
        ),
    ]
