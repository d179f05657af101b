"""What processors keep over restarts."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from ninjacam.models.camera import Camera


class ProcessorState(models.Model):
    """The state of one processor for one camera, as it was last saved (`Processor.save_state`)."""

    camera = models.ForeignKey(Camera, models.CASCADE, verbose_name=_("camera"))
    processor = models.CharField(_("processor"), max_length=50)
    state = models.JSONField(_("state"))

    class Meta:
        verbose_name = _("state of a processor")
        verbose_name_plural = _("states of processors")
        constraints = [
            models.UniqueConstraint(fields=["camera", "processor"], name="ninjacam_processor_state"),
        ]

    def __str__(self) -> str:
        return f"{self.camera}: {self.processor}"
