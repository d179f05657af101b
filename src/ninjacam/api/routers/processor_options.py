"""Options of processors for one camera."""

from django.http import HttpRequest
from ninja import Query, Router

from ninjacam.actions.processor_options import set_options
from ninjacam.api.auth import principal
from ninjacam.api.schemas.pages import PageQuery
from ninjacam.api.schemas.processor_options import (
    ProcessorOptionsOut,
    ProcessorOptionsPage,
    ProcessorOptionsPatch,
)
from ninjacam.queries.pages import paginate_list
from ninjacam.queries.processor_options import ProcessorOptions, get_options, list_options

router = Router()


@router.get(
    "/{slug:slug}/options",
    response=ProcessorOptionsPage,
    operation_id="list_processor_options",
    summary="List processor options",
)
def list_processor_options(request: HttpRequest, slug: str, query: Query[PageQuery]) -> ProcessorOptionsPage:
    """The options of the camera's processors, by processor. Requires the role `configure`."""
    found = list_options(principal(request), slug)
    page = paginate_list(found, lambda each: (each.processor,), query.after, query.limit)
    return ProcessorOptionsPage(items=[_options_out(each) for each in page.items], next=page.next)


@router.get(
    "/{slug:slug}/options/{slug:processor}",
    response=ProcessorOptionsOut,
    operation_id="get_processor_options",
    summary="Get processor options",
)
def get_processor_options(request: HttpRequest, slug: str, processor: str) -> ProcessorOptionsOut:
    """The options of one processor for this camera. Requires the role `configure`."""
    return _options_out(get_options(principal(request), slug, processor))


@router.patch(
    "/{slug:slug}/options/{slug:processor}",
    response=ProcessorOptionsOut,
    operation_id="update_processor_options",
    summary="Change processor options",
)
def update_processor_options(
    request: HttpRequest, slug: str, processor: str, change: ProcessorOptionsPatch
) -> ProcessorOptionsOut:
    """Set options of one processor for this camera. They apply to the live view within two seconds; the processor
    starts again with them. Requires the role `configure`."""
    return _options_out(set_options(principal(request), slug, processor, change.values))


def _options_out(found: ProcessorOptions) -> ProcessorOptionsOut:
    return ProcessorOptionsOut(
        processor=found.processor,
        description=found.description,
        options_schema=dict(found.schema),
        values=dict(found.values),
        problems=dict(found.problems),
    )
