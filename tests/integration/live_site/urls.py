"""The URL names that the media application requires, below a mount point, and one page of the project."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def page(request: HttpRequest, **_: str) -> HttpResponse:
    return HttpResponse("a page of Django")


_live = [
    path("live/ws", page, name="live-ws"),
    path("live/<slug:slug>/mjpeg", page, name="live-mjpeg"),
    path("live/<slug:slug>/snapshot.jpg", page, name="live-snapshot"),
    path("rec/<slug:slug>/hls.m3u8", page, name="rec-hls"),
    path("rec/<slug:slug>/segment/<int:segment_id>.mp4", page, name="rec-segment"),
    path("rec/<slug:slug>/clip.mp4", page, name="rec-clip"),
    path("rec/<slug:slug>/at.jpg", page, name="rec-at"),
    path("rec/<slug:slug>/export/<uuid:export_id>.mp4", page, name="rec-export"),
    path("healthz", page, name="healthz"),
    path("metrics", page, name="metrics"),
]
urlpatterns = [path("", page), path("cam/", include((_live, "ninjacam")))]
