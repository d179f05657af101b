"""Models: cameras with their streams and zones, grants, API tokens, the index of the recordings, exports, events,
values, webhooks, rules, profiles, layouts, notifications.

Not here: who may write them (`ninjacam.actions`), and anything that opens a camera.
"""

from ninjacam.models.audit_entry import AuditEntry, AuditEntryQuerySet
from ninjacam.models.camera import Camera, CameraQuerySet
from ninjacam.models.event import Event, EventQuerySet
from ninjacam.models.event_call import CallState, EventCall, EventCallQuerySet
from ninjacam.models.event_embedding import EventEmbedding
from ninjacam.models.event_update import EventUpdate
from ninjacam.models.export import Export, ExportQuerySet, ExportState
from ninjacam.models.grant import CameraGrant
from ninjacam.models.notification import NotificationChoice, PushSubscription, VapidKey
from ninjacam.models.processor_state import ProcessorState
from ninjacam.models.profile import ActiveProfile, Profile, ProfileChoice, ProfileOverride
from ninjacam.models.publish_key import PublishKey
from ninjacam.models.roles import GRANTED_BY, Role, permission_name
from ninjacam.models.rule import Rule
from ninjacam.models.seen_event import SeenEvent
from ninjacam.models.segment import Segment, SegmentQuerySet
from ninjacam.models.snapshot import Snapshot, SnapshotQuerySet
from ninjacam.models.stream import Stream
from ninjacam.models.token import ApiToken
from ninjacam.models.value import ValueSeries, ValueSlot
from ninjacam.models.wall_layout import WallLayout, WallLayoutQuerySet
from ninjacam.models.webhook import Action, DeliveryState, Phase, Webhook, WebhookDelivery
from ninjacam.models.zone import CameraZone

__all__ = [
    "GRANTED_BY",
    "Action",
    "ActiveProfile",
    "ApiToken",
    "AuditEntry",
    "AuditEntryQuerySet",
    "CallState",
    "Camera",
    "CameraGrant",
    "CameraQuerySet",
    "CameraZone",
    "DeliveryState",
    "Event",
    "EventCall",
    "EventCallQuerySet",
    "EventEmbedding",
    "EventQuerySet",
    "EventUpdate",
    "Export",
    "ExportQuerySet",
    "ExportState",
    "NotificationChoice",
    "Phase",
    "ProcessorState",
    "Profile",
    "ProfileChoice",
    "ProfileOverride",
    "PublishKey",
    "PushSubscription",
    "Role",
    "Rule",
    "SeenEvent",
    "Segment",
    "SegmentQuerySet",
    "Snapshot",
    "SnapshotQuerySet",
    "Stream",
    "ValueSeries",
    "ValueSlot",
    "VapidKey",
    "WallLayout",
    "WallLayoutQuerySet",
    "Webhook",
    "WebhookDelivery",
    "permission_name",
]
