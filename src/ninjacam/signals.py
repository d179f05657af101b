"""Django signals about events. They are sent after the commit, in the process that has written the event.

    from django.dispatch import receiver
    from ninjacam.signals import event_begun

    @receiver(event_begun)
    def greet(sender, event, **kwargs):
        ...

`sender` is the model `Event`; `event` the row as it was written. An exception of a receiver is logged, and changes
nothing else.
"""

from django.dispatch import Signal

event_begun = Signal()
"""An event was created. One that has a duration or is a moment ends at once: `event_ended` follows."""
event_changed = Signal()
"""A label, a sighting, data or the protection of an event has changed. `fields`: the names of the changed fields."""
event_ended = Signal()
"""An event has ended."""
