"""The forms that check a password, with the limits of `actions.sign_in`."""

from typing import Any

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ninjacam.actions.sign_in import attempt
from ninjacam.core.errors import LimitError


class _Limited(AuthenticationForm):
    """A limited login form. `throttled`: the password was not checked."""

    throttled = False

    def clean(self) -> dict[str, Any]:
        try:
            with attempt(self.request, self.cleaned_data.get("username") or ""):
                return super().clean()
        except LimitError as error:
            self.throttled = True
            raise ValidationError(error.message, code="throttled") from error


class LogInForm(_Limited):
    """The form of our login page."""


class AdminLogInForm(_Limited, AdminAuthenticationForm):
    """The login form for Django's admin: `admin.site.login_form = AdminLogInForm`."""


class PasswordForm(PasswordChangeForm):
    """Changes the user's own password. Attempts to guess the old one are limited like logins."""

    end_tokens = forms.BooleanField(
        label=_("Also revoke all my API tokens"),
        required=False,
        initial=True,
        help_text=_("All other sessions and links end in any case."),
    )

    def __init__(self, request: HttpRequest, user: AbstractBaseUser, data: Any = None) -> None:
        super().__init__(user, data)  # type: ignore[arg-type] # works with every user model, says Django
        self._request = request

    def clean_old_password(self) -> str:
        try:
            with attempt(self._request, self.user.get_username()):
                return super().clean_old_password()
        except LimitError as error:
            raise ValidationError(error.message, code="throttled") from error
