"""`ninjacam.web.middleware.accounts`: who writes is on record, and browsers that have logged in are known again.

The product uses it. In your own project put it after AuthenticationMiddleware, so that records of changes in Django's
admin name the user, and logins there are remembered as those of Ninjacam's own page are.
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
