import django.db.models.deletion
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ninjacam', '0015_ready_made'),
    ]

    operations = [
        migrations.CreateModel(
            name='EventUpdate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('event_id', models.BigIntegerField(verbose_name='event')),
                ('kind', models.CharField(choices=[('begun', 'begun'), ('changed', 'changed'), ('ended', 'ended')], max_length=7, verbose_name='kind')),
            ],
            options={
                'verbose_name': 'update of an event',
                'verbose_name_plural': 'updates of events',
                'ordering': ['pk'],
            },
        ),
        migrations.CreateModel(
            name='Webhook',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, verbose_name='name')),
                ('url', models.CharField(max_length=500, verbose_name='URL')),
                ('credentials', models.TextField(editable=False, verbose_name='credentials')),
                ('verify_tls', models.BooleanField(default=True, verbose_name='verify the certificate')),
                ('enabled', models.BooleanField(default=True, verbose_name='enabled')),
                ('on_begin', models.BooleanField(default=True, verbose_name='when an event begins')),
                ('on_end', models.BooleanField(default=False, verbose_name='when an event ends')),
                ('cameras', models.JSONField(blank=True, default=list, help_text='A list of short names. Empty: all cameras.', verbose_name='cameras')),
                ('kinds', models.JSONField(blank=True, default=list, help_text='A list of kinds of events. Empty: all kinds.', verbose_name='kinds')),
                ('label', models.CharField(blank=True, help_text="A part of the event's label.", max_length=200, verbose_name='label')),
                ('zone', models.CharField(blank=True, max_length=50, verbose_name='zone')),
                ('min_score', models.FloatField(blank=True, null=True, verbose_name='minimum score')),
                ('min_duration_s', models.FloatField(default=0, help_text='Seconds that an event must last before it is sent.', verbose_name='minimum duration')),
                ('schedule', models.CharField(blank=True, help_text='When an event must begin: mon-fri 07:00-19:00; sat,sun 10:00-14:00. Empty: at any time.', max_length=500, verbose_name='schedule')),
                ('created_at', models.DateTimeField(auto_now_add=True, verbose_name='created at')),
            ],
            options={
                'verbose_name': 'webhook',
                'verbose_name_plural': 'webhooks',
                'ordering': ['pk'],
            },
        ),
        migrations.CreateModel(
            name='WebhookDelivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('event_id', models.BigIntegerField(verbose_name='event')),
                ('phase', models.CharField(choices=[('begun', 'begun'), ('ended', 'ended')], max_length=5, verbose_name='phase')),
                ('key', models.UUIDField(default=uuid.uuid4, editable=False, verbose_name='key')),
                ('payload', models.TextField(verbose_name='payload')),
                ('created_ns', models.BigIntegerField(verbose_name='created at')),
                ('state', models.CharField(choices=[('waiting', 'waiting'), ('delivered', 'delivered'), ('dead', 'dead')], default='waiting', max_length=9, verbose_name='state')),
                ('attempts', models.PositiveIntegerField(default=0, verbose_name='attempts')),
                ('next_try_ns', models.BigIntegerField(verbose_name='next attempt')),
                ('leased_until_ns', models.BigIntegerField(default=0)),
                ('ended_ns', models.BigIntegerField(null=True, verbose_name='ended at')),
                ('status', models.PositiveSmallIntegerField(null=True, verbose_name='HTTP status')),
                ('error', models.CharField(blank=True, max_length=300, verbose_name='error')),
                ('webhook', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='ninjacam.webhook', verbose_name='webhook')),
            ],
            options={
                'verbose_name': 'delivery',
                'verbose_name_plural': 'deliveries',
                'ordering': ['-pk'],
                'indexes': [models.Index(condition=models.Q(('state', 'waiting')), fields=['webhook', 'next_try_ns'], name='ninjacam_delivery_waiting'), models.Index(condition=models.Q(('state', 'waiting'), _negated=True), fields=['ended_ns'], name='ninjacam_delivery_ended')],
                'constraints': [models.UniqueConstraint(fields=('webhook', 'event_id', 'phase'), name='ninjacam_delivery_once')],
            },
        ),
    ]
