"""The pages of users and groups, for administrators."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from django import forms
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from ninjacam.actions import users as actions
from ninjacam.actions.sessions import end_access
from ninjacam.actions.users import MAX_GROUPS, UserFields
from ninjacam.auth import Principal
from ninjacam.core.errors import InvalidError, LimitError
from ninjacam.queries.users import get_group, get_user, list_groups, list_users
from ninjacam.web.views import page, render_page

PAGE = 50
MAX_PASSWORD_CHARS = 4096


class PasswordField(forms.CharField):
    def __init__(self) -> None:
        super().__init__(
            label=_("Password"),
            max_length=MAX_PASSWORD_CHARS,
            strip=False,
            widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        )


class _ProblemForm(forms.Form):
    def run(self, action: Callable[[], Any]) -> bool:
        """Return whether the form is valid and `action`, which takes its values, succeeds. Else it has the errors."""
        if not self.is_valid():
            return False
        try:
            action()
        except InvalidError as error:
            for name, messages in (error.fields or {"": [error.message]}).items():
                for message in messages:
                    self.add_error(name if name in self.fields else None, message)
        except LimitError as error:
            self.add_error(None, error.message)
        return not self.errors


class UserForm(_ProblemForm):
    """Fields of `UserFields`, and the password of a new user."""

    username = forms.CharField(
        label=_("User name"), max_length=150, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    email = forms.EmailField(
        label=_("E-mail"), required=False, max_length=254, help_text=_("For e-mails of rules.")
    )
    password = PasswordField()
    is_superuser = forms.BooleanField(
        label=_("Administrator"),
        required=False,
        help_text=_("Has all rights: all cameras, users and settings."),
    )
    is_active = forms.BooleanField(
        label=_("Active"),
        required=False,
        initial=True,
        help_text=_(
            "A user who is not active cannot log in. Deactivation ends all sessions, API tokens and open streams."
        ),
    )
    groups = forms.TypedMultipleChoiceField(
        label=_("Groups"), required=False, coerce=int, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, data: Any, groups: Mapping[int, str], user: Any = None) -> None:
        model = get_user_model()
        initial: dict[str, Any] = {}
        if user is not None:
            initial = {name: getattr(user, name) for name in ("is_superuser", "is_active")}
            initial["username"] = user.get_username()
            initial["email"] = getattr(user, getattr(model, "EMAIL_FIELD", ""), "")
            initial["groups"] = list(user.groups.values_list("pk", flat=True)) if groups else []
        super().__init__(data, initial=initial)
        self.fields["groups"].choices = list(groups.items())  # type: ignore[attr-defined] # multiple choices
        unused = {
            "groups": not groups,
            "email": not hasattr(model, "EMAIL_FIELD"),
            "password": user is not None,
        }
        for name in (name for name, is_unused in unused.items() if is_unused):
            del self.fields[name]

    def values(self) -> UserFields:
        names = UserFields.__annotations__.keys() & self.cleaned_data.keys()
        return cast(UserFields, {name: self.cleaned_data[name] for name in names})


class NewPasswordForm(_ProblemForm):
    password = PasswordField()
    end_tokens = forms.BooleanField(
        label=_("Also revoke all API tokens of this user"),
        required=False,
        initial=True,
        help_text=_("All sessions and links of this user end in any case."),
    )


class GroupForm(_ProblemForm):
    name = forms.CharField(
        label=_("Name"), max_length=150, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )


@require_safe
@page
def show_users(request: HttpRequest, principal: Principal) -> HttpResponse:
    """List users by name: `?q=` searches, `?page=2`."""
    search = request.GET.get("q", "")
    found = list_users(principal, search)
    if actions.has_groups():
        found = found.prefetch_related("groups")
    users: Page[Any] = Paginator(found, PAGE).get_page(request.GET.get("page"))
    context = {"users": users, "shown": users, "search": search, "has_groups": actions.has_groups()}
    return render_page(request, principal, "ninjacam/users.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def add_user(request: HttpRequest, principal: Principal) -> HttpResponse:
    form = UserForm(request.POST if request.method == "POST" else None, _groups(principal))
    if request.method == "POST" and form.run(
        lambda: actions.create_user(principal, form.values(), form.cleaned_data["password"])
    ):
        return redirect("ninjacam:users")
    context = {"form": form, "account": None}
    return render_page(request, principal, "ninjacam/user.html", context, 422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def edit_user(request: HttpRequest, principal: Principal, user_id: str) -> HttpResponse:
    """POST: `do` is save, password or end (all sessions and tokens)."""
    account = get_user(principal, user_id)
    do = request.POST.get("do", "") if request.method == "POST" else ""
    form = UserForm(request.POST if do == "save" else None, _groups(principal), account)
    password_form = NewPasswordForm(request.POST if do == "password" else None, prefix="new")
    is_done = False
    if do == "save":
        is_done = form.run(lambda: actions.update_user(principal, account, form.values()))
    elif do == "password":
        is_done = password_form.run(
            lambda: actions.set_password(principal, account, **_password_values(password_form))
        )
    elif do == "end":
        end_access(principal, account)
        is_done = True
    if is_done:
        return redirect(reverse("ninjacam:user", args=[account.pk]) + f"?done={do}")
    context = {
        "form": form,
        "password_form": password_form,
        "account": account,
        "is_self": account.pk == principal.user.pk,
        "done": request.GET.get("done", ""),
    }
    status = 422 if form.errors or password_form.errors else 200
    return render_page(request, principal, "ninjacam/user.html", context, status)


def _password_values(form: NewPasswordForm) -> dict[str, Any]:
    return {"password": form.cleaned_data["password"], "end_tokens": form.cleaned_data["end_tokens"]}


def _groups(principal: Principal) -> dict[int, str]:
    """Return the names of the groups that a user can be in, by primary key."""
    if not actions.has_groups():
        return {}
    return dict(list_groups(principal).values_list("pk", "name")[:MAX_GROUPS])


@require_http_methods(["GET", "HEAD", "POST"])
@page
def show_groups(request: HttpRequest, principal: Principal) -> HttpResponse:
    """List groups. POST `name`: create one."""
    groups = list_groups(principal, request.GET.get("q", ""))
    form = GroupForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.run(
        lambda: actions.create_group(principal, form.cleaned_data["name"])
    ):
        return redirect("ninjacam:groups")
    shown: Page[Group] = Paginator(groups, PAGE).get_page(request.GET.get("page"))
    context = {"groups": shown, "shown": shown, "form": form, "search": request.GET.get("q", "")}
    return render_page(request, principal, "ninjacam/groups.html", context, 422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def edit_group(request: HttpRequest, principal: Principal, group_id: int) -> HttpResponse:
    """POST: `do` is save or delete."""
    group = get_group(principal, group_id)
    name = group.name
    do = request.POST.get("do", "") if request.method == "POST" else ""
    form = GroupForm(request.POST if do == "save" else None, initial={"name": name})
    if do == "delete":
        actions.delete_group(principal, group)
        return redirect("ninjacam:groups")
    if do == "save" and form.run(lambda: actions.rename_group(principal, group, form.cleaned_data["name"])):
        return redirect("ninjacam:groups")
    members = Paginator(_members(principal, group), PAGE).get_page(request.GET.get("page"))
    context = {"form": form, "group": group, "name": name, "members": members, "shown": members}
    return render_page(request, principal, "ninjacam/group.html", context, 422 if form.errors else 200)


def _members(principal: Principal, group: Group) -> Any:
    found = list_users(principal)
    return found.filter(groups=group) if actions.has_groups() else found.none()
