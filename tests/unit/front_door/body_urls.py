"""URLs of a view that accepts large bodies, and of one that does not."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from ninjacam.front_door.bodies import allow_body


@allow_body(max_bytes=50 << 20, deadline_s=60.0)
def large(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def small(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


urlpatterns = [path("large/", large), path("small/", small)]
