"""`ninjacam.web.middleware.accounts`: identifies the author of writes, and recognizes browsers that have logged in
before.

The product uses it. In your own project, put it after AuthenticationMiddleware, so that audit records of changes in
Django's admin name the user, and logins there are remembered like those on Ninjacam's own page.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from ninjacam.actions.audit import acting
from ninjacam.actions.sign_in import COOKIE, logged_in_user, remember_browser

Handler = Callable[[HttpRequest], HttpResponse]


def accounts(get_response: Handler) -> Handler:
    def handle(request: HttpRequest) -> HttpResponse:
        with acting(request):
            response = get_response(request)
        user = logged_in_user(request)
        if user is not None and COOKIE not in response.cookies:
            remember_browser(request, response, user)
        return response

    return handle
