"""Media, PTZ, imaging, relays and events with a camera over real HTTP."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

import pytest

from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.errors import CommandRejectedError, ProtocolError, SourceError, UnsupportedCommandError
from ninjacam.core.movement import Abilities, Vector
from ninjacam.onvif import device, events, imaging, lamp, media
from ninjacam.onvif.client import OnvifClient
from ninjacam.onvif.events import DeviceEvent, pull_events, read_event
from ninjacam.onvif.imaging import Imaging, ImagingChanges
from ninjacam.onvif.media import EncoderOptions, MediaProfile
from ninjacam.onvif.ptz import Ptz, open_ptz
from ninjacam.onvif.xml import parse_xml
from ninjacam.sources.base import SourceConfig
from ninjacam.testing.onvif_camera import FakeOnvifCamera
from tests.unit.onvif.test_client import run

NOW_NS = 1_767_225_600_000_000_000


@pytest.fixture
def camera() -> Iterator[FakeOnvifCamera]:
    with FakeOnvifCamera() as started:
        yield started


# --- media ---


@pytest.mark.parametrize("legacy", [False, True])
def test_encoder_settings_are_read_and_changed(camera: FakeOnvifCamera, legacy: bool) -> None:
    camera.faults.legacy = legacy

    async def go(client: OnvifClient) -> tuple[MediaProfile, list[EncoderOptions]]:
        main = (await media.list_profiles(client))[1]
        options = await media.get_encoder_options(client, main)
        assert main.encoder is not None
        wanted = replace(main.encoder, width_px=1280, height_px=720, fps=15, bitrate_kbps=2000, gop_frames=30)
        await media.set_encoder(client, main, wanted)
        with pytest.raises(CommandRejectedError, match="1920x1080, 1280x720, 640x360"):
            await media.set_encoder(client, main, replace(wanted, width_px=1281))
        with pytest.raises(CommandRejectedError, match="frames per second"):
            await media.set_encoder(client, main, replace(wanted, fps=100))
        with pytest.raises(CommandRejectedError, match="a key-frame interval of 1 to 100"):
            await media.set_encoder(client, main, replace(wanted, gop_frames=101))
        with pytest.raises(CommandRejectedError, match="does not offer VP8"):
            await media.set_encoder(client, main, replace(wanted, codec="VP8"))
        return main, options

    main, options = run(camera, go)
    assert main.encoder is not None
    assert (main.encoder.codec, main.encoder.width_px, main.encoder.fps) == ("H264", 1920, 25)
    assert (main.encoder.bitrate_kbps, main.encoder.gop_frames) == (4096, 50)
    assert options[0].codec == "H264" and (1280, 720) in options[0].sizes
    assert {name: camera.encoders["main"][name] for name in ("width", "height", "fps", "kbps", "gop")} == {
        "width": "1280", "height": "720", "fps": "15", "kbps": "2000", "gop": "30",
    }  # fmt: skip


def test_a_snapshot_is_a_jpeg_image(camera: FakeOnvifCamera) -> None:
    async def go(client: OnvifClient) -> bytes:
        return await media.get_snapshot(client, (await media.list_profiles(client))[0])

    assert run(camera, go).startswith(b"\xff\xd8")


def test_hostile_numbers_of_profiles_are_bounded() -> None:
    text = (
        '<x><Profiles token="a"><Name>\u202ename</Name><VideoEncoderConfiguration token="e"><Encoding>H264</Encoding>'
        "<Resolution><Width>-5</Width><Height>99999999999999999999</Height></Resolution><RateControl>"
        "<FrameRateLimit>1e300</FrameRateLimit><BitrateLimit>x</BitrateLimit></RateControl>"
        "</VideoEncoderConfiguration></Profiles><Profiles/></x>"
    )
    (profile,) = media._profiles(parse_xml(text.encode()), "media")
    assert profile.encoder is not None and profile.name == "name"
    assert (profile.encoder.width_px, profile.encoder.height_px, profile.encoder.bitrate_kbps) == (0, 0, 0)


# --- device ---


def test_the_clock_is_compared_and_set(camera: FakeOnvifCamera) -> None:
    camera.faults.clock_offset_s = 500

    async def go(client: OnvifClient) -> tuple[float, float]:
        return await client.get_clock_offset(), await device.set_clock(client, datetime.now(UTC))

    before_s, after_s = run(camera, go)
    assert abs(before_s - 500) < 3 and abs(after_s) < 3


def test_relays_are_switched(camera: FakeOnvifCamera) -> None:
    async def go(client: OnvifClient) -> list[device.Relay]:
        await device.set_relay(client, "relay1", is_active=True)
        with pytest.raises(CommandRejectedError, match="no output"):
            await device.set_relay(client, "other", is_active=True)
        return await device.list_relays(client)

    assert [relay.token for relay in run(camera, go)] == ["relay1"]
    assert camera.relays == {"relay1": "active"}


def test_the_picture_is_adjusted_within_what_the_camera_offers(camera: FakeOnvifCamera) -> None:
    async def go(client: OnvifClient) -> Imaging:
        found = await imaging.get_imaging(client, "video1")
        changes = ImagingChanges(ir_cut_filter="off", focus_mode="manual", levels={"brightness": 70.0})
        await imaging.set_imaging(client, "video1", changes)
        for wrong, says in (
            (ImagingChanges(ir_cut_filter="dusk"), "It offers: on, off, auto"),
            (ImagingChanges(focus_mode="dusk"), "It offers: auto, manual"),
            (ImagingChanges(levels={"brightness": 101}), "0 to 100"),
            (ImagingChanges(levels={"sharpness": 1}), "cannot be changed"),
            (ImagingChanges(levels={"nonsense": 1}), "cannot be changed"),
        ):
            with pytest.raises(CommandRejectedError, match=says):
                await imaging.set_imaging(client, "video1", wrong)
        await imaging.move_focus(client, "video1", 0.5)
        await imaging.stop_focus(client, "video1")
        return found

    found = run(camera, go)
    assert (found.ir_cut_filter, found.ir_cut_filters) == ("auto", ("on", "off", "auto"))
    assert (found.focus_mode, found.focus_modes, found.can_move_focus) == ("auto", ("auto", "manual"), True)
    assert found.levels == {
        "brightness": imaging.ImagingLevel(50, 0, 100), "contrast": imaging.ImagingLevel(40, 0, 100),
    }  # fmt: skip
    assert camera.imaging == {
        "IrCutFilter": "OFF", "AutoFocusMode": "MANUAL", "Brightness": "70", "Contrast": "40",
    }  # fmt: skip
    assert camera.named("Move")[0].values["Speed"] == "0.5"


def test_a_camera_without_imaging_options_is_only_read(camera: FakeOnvifCamera) -> None:
    camera.faults.body = {"GetOptions": "<x/>"}
    camera.faults.fail = {"GetMoveOptions": "ActionNotSupported"}

    async def go(client: OnvifClient) -> Imaging:
        with pytest.raises(CommandRejectedError):
            await imaging.set_imaging(client, "video1", ImagingChanges(levels={"brightness": 1}))
        return await imaging.get_imaging(client, "video1")

    found = run(camera, go)
    assert found.levels["brightness"].max is None and not found.can_move_focus and not found.ir_cut_filters


@pytest.mark.parametrize("place", ["node", "services", "capabilities"])
def test_the_lamp_is_switched_where_the_camera_announces_it(
    camera: FakeOnvifCamera, place: Literal["node", "services", "capabilities"]
) -> None:
    camera.extras.auxiliary = ["tt:Wiper|On", "tt:Irlamp|Auto", "tt:IRLamp|On"]
    camera.extras.auxiliary_in = place

    async def go(client: OnvifClient) -> tuple[str, ...]:
        found = await lamp.find_ir_lamp(client)
        assert found is not None
        for mode in found.modes:
            await lamp.set_ir_lamp(client, found, mode)
        return found.modes

    assert run(camera, go) == ("on", "auto")
    sent = [each.values for each in camera.named("SendAuxiliaryCommand")]
    name = "AuxiliaryData" if place == "node" else "AuxiliaryCommand"
    assert [values[name] for values in sent] == ["tt:IRLamp|On", "tt:Irlamp|Auto"]


def test_only_the_standard_commands_are_a_lamp(camera: FakeOnvifCamera) -> None:
    camera.extras.auxiliary = [
        "LightOn",
        "tt:IRLamp|On;reboot",
        "<x/>",
        "tt:IRLamp|Blink",
        "\u202ett:IRLamp|On",
        "",
    ]
    assert run(camera, lamp.find_ir_lamp) is None
    camera.extras.auxiliary = ["tt:Wiper|On"] * 5000 + ["tt:IRLamp|On"]
    assert run(camera, lamp.find_ir_lamp) is None, "only so many are read"
    camera.faults.fail = {"GetNodes": "ActionNotSupported", "GetServiceCapabilities": "ActionNotSupported"}
    assert run(camera, lamp.find_ir_lamp) is None


# --- movement ---


def test_the_camera_moves(camera: FakeOnvifCamera) -> None:
    async def go(client: OnvifClient) -> None:
        ptz = await open_ptz(client)
        assert ptz.abilities.continuous_move and ptz.abilities.home and ptz.abilities.max_presets == 100
        await ptz.move(Vector(pan=1, tilt=-0.5), 1)
        assert camera.is_moving
        await ptz.stop()
        assert not camera.is_moving and camera.position[0] > 0 > camera.position[1]
        await ptz.move_to(Vector(pan=0.5, tilt=0.25, zoom=0.75))
        assert await ptz.get_position() == Vector(0.5, 0.25, 0.75)
        await ptz.move_by(Vector(pan=-0.25))
        assert (await ptz.get_position()).pan == 0.25

    run(camera, go)
    move = camera.named("ContinuousMove")[0].values
    assert (move["PanTilt.x"], move["PanTilt.y"], move["Timeout"]) == ("1", "-0.5", "PT1S")


def test_presets_and_home(camera: FakeOnvifCamera) -> None:
    async def go(client: OnvifClient) -> None:
        ptz = await open_ptz(client)
        assert [(preset.token, preset.name) for preset in await ptz.list_presets()] == [("1", "Door")]
        await ptz.goto_preset("1")
        token = await ptz.set_preset("Gate <&>")
        assert [preset.name for preset in await ptz.list_presets()] == ["Door", "Gate <&>"]
        await ptz.remove_preset(token)
        with pytest.raises(CommandRejectedError):
            await ptz.goto_preset(token)
        await ptz.set_home()
        await ptz.move_to(Vector(pan=1, tilt=1))
        await ptz.go_home()

    run(camera, go)
    assert camera.position == [0.5, 0.1, 0.0]


def test_a_camera_that_cannot_move_says_so() -> None:
    with (
        FakeOnvifCamera(has_ptz=False) as fixed,
        pytest.raises(UnsupportedCommandError, match="cannot be moved"),
    ):
        run(fixed, open_ptz)


def test_values_are_scaled_to_the_ranges_of_the_camera() -> None:
    abilities = Abilities(continuous_move=True, absolute_zoom=True)
    ranges = {
        "continuous_move": (-90.0, 180.0),
        "continuous_move_y": (-1.0, 1.0),
        "absolute_zoom": (0.0, 8.0),
    }
    client = OnvifClient(SourceConfig("http://127.0.0.1/"))
    ptz = Ptz(client, MediaProfile("<a>", "a"), abilities, ranges)
    assert ptz._vector("continuous", Vector(pan=0.5, tilt=-1)) == '<t:PanTilt x="90" y="-1"/>'
    assert ptz._vector("continuous", Vector(pan=-0.5, zoom=1)) == '<t:PanTilt x="-45" y="0"/>'
    assert ptz._vector("absolute", Vector(zoom=0.5)) == '<t:Zoom x="4"/>'
    with pytest.raises(UnsupportedCommandError):
        ptz._vector("continuous", Vector(zoom=1))
    with pytest.raises(CommandRejectedError):
        ptz._vector("continuous", Vector(pan=1.5))


# --- events ---


def notification(topic: str, data: str, *, operation: str = "Changed", at: str = "") -> DeviceEvent | None:
    text = (
        f'<N><Topic>{topic}</Topic><Message><Message UtcTime="{at}" PropertyOperation="{operation}"><Source>'
        '<SimpleItem Name="VideoSource" Value="v1"/></Source><Data>'
        f"{data}</Data></Message></Message></N>"
    )
    return read_event(parse_xml(text.encode()), 3600.0, NOW_NS)


ACTIVE = '<SimpleItem Name="State" Value="true"/>'


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("tns1:VideoSource/MotionAlarm", "motion"),
        ("tns1:RuleEngine/CellMotionDetector/Motion", "motion"),
        ("tns1:RuleEngine/tns1:LineDetector/tns1:Crossed", "line_crossed"),
        ("tns1:Device/Trigger/DigitalInput", "digital_input"),
        ("tns1:VideoSource/GlobalSceneChange/ImagingService", "tamper"),
        ("tns1:AudioAnalytics/Audio/DetectedSound", "audio"),
        ("tns1:RuleEngine/MyRuleDetector/PeopleDetect", "person"),
        ("tns1:Monitoring/ProcessorUsage", None),
        ("", None),
    ],
)
def test_topics_are_kinds(topic: str, kind: str | None) -> None:
    event = notification(topic, ACTIVE)
    assert (event.kind if event else None) == kind


def test_an_event_has_its_state_source_and_time() -> None:
    event = notification("tns1:VideoSource/MotionAlarm", ACTIVE, at="2026-01-01T00:59:58Z")
    assert event == DeviceEvent("motion", "v1", True, NOW_NS - 2_000_000_000)
    for operation, is_active, is_initial in (("Deleted", False, False), ("Initialized", True, True)):
        event = notification("tns1:VideoSource/MotionAlarm", ACTIVE, operation=operation)
        assert event == DeviceEvent("motion", "v1", is_active, NOW_NS, is_initial)


@pytest.mark.parametrize(
    "at", ["", "x", "1970-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "2026-01-01T02:00:00Z"]
)
def test_a_time_that_is_not_believable_is_the_time_of_arrival(at: str) -> None:
    event = notification("tns1:VideoSource/MotionAlarm", ACTIVE, at=at)
    assert event is not None and event.at_ns == NOW_NS


async def _events(camera: FakeOnvifCamera, client: OnvifClient, count: int) -> list[DeviceEvent]:
    """Return the first events, subscribing again after an error."""
    found: list[DeviceEvent] = []
    enough = asyncio.Event()

    def on_event(event: DeviceEvent) -> None:
        found.append(event)
        if len(found) == count:
            enough.set()

    async def go() -> None:
        while True:
            with contextlib.suppress(SourceError, CommandRejectedError):
                await pull_events(client, on_event, clock=SYSTEM_CLOCK)

    task = asyncio.create_task(go())
    async with asyncio.timeout(30):
        await enough.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return found


def test_events_arrive_and_a_camera_that_forgets_the_subscription_is_asked_again(
    camera: FakeOnvifCamera,
) -> None:
    async def go(client: OnvifClient) -> list[DeviceEvent]:
        camera.notify("tns1:VideoSource/MotionAlarm", "State", "true")
        first = await _events(camera, client, 1)
        camera.forget_subscriptions()
        camera.notify("tns1:RuleEngine/LineDetector/Crossed", "ObjectId", "7")
        return first + await _events(camera, client, 1)

    found = run(camera, go)
    assert [(event.kind, event.is_active) for event in found] == [("motion", True), ("line_crossed", None)]
    assert camera.subscriptions == 2


def test_a_subscription_of_a_forgetful_camera_ends_in_an_error(camera: FakeOnvifCamera) -> None:
    async def go(client: OnvifClient) -> None:
        with pytest.raises(CommandRejectedError):
            await pull_events(client, lambda _: None, camera.forget_subscriptions)

    run(camera, go)


def test_an_answer_that_contains_no_events_is_an_error(camera: FakeOnvifCamera) -> None:
    camera.faults.body = {"PullMessages": "<x/>"}

    async def go(client: OnvifClient) -> None:
        with pytest.raises(ProtocolError, match="events"):
            await pull_events(client, lambda _: None)

    run(camera, go)


def test_reference_parameters_are_returned_in_the_header() -> None:
    (parameter,) = parse_xml(b'<a xmlns:d="urn:d"><d:Id>5&lt;</d:Id></a>').children
    header = events._returned(parameter)
    assert header.startswith('<Id xmlns="urn:d"') and header.endswith(">5&lt;</Id>")
    assert parse_xml(header.encode()).attributes == {"IsReferenceParameter": "true"}
