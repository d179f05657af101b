from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


@login_required
def home(request: HttpRequest) -> HttpResponse:
    return render(request, "workshop/home.html", {"orders": ["Table, oak", "Two chairs", "Shelf, 2 m"]})
