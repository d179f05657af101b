"""The table of figures: required, of the blog's way, and measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.stage import Figures

Cell = Callable[[Figures], str]
Check = Callable[[Figures], bool]


@dataclass(frozen=True, slots=True)
class Row:
    """`job`: the source of its figures. `met` None: informational. `seed`: of the figures of the job "seed"."""

    name: str
    title: str
    job: str
    must: str
    measured: Cell
    met: Check | None = None
    seed: Cell | None = None


def _cpu(figures: Figures, viewers: int) -> float:
    return float(figures[f"cpu_{viewers}"]["total"])


def _cpu_ratio(figures: Figures) -> float:
    return _cpu(figures, 8) / max(0.01, _cpu(figures, 1))


def _latency(figures: Figures, viewers: int = 8) -> tuple[float, float]:
    """Return p50 and p95 in ms; infinite if no frame was legible."""
    seen = figures[f"viewers_{viewers}"]
    p50, p95 = seen["latency_p50_ms"], seen["latency_p95_ms"]
    return (float("inf") if p50 is None else p50, float("inf") if p95 is None else p95)


def _latency_text(figures: Figures, viewers: int = 8) -> str:
    p50, p95 = _latency(figures, viewers)
    return f"{p50:.0f} / {p95:.0f} ms"


def _fps(figures: Figures) -> list[float]:
    return [float(value) for value in figures["viewers_8"]["fps"]]


def _seed_fps(figures: Figures) -> str:
    fps = _fps(figures)
    return f"{sum(fps) / len(fps):.1f} mean, {min(fps):.1f} - {max(fps):.1f}"


def _slowest_filter(figures: Figures) -> float:
    return float(max(each["p50_ms"] for each in figures["find"].values()))


def _growth(figures: Figures) -> float:
    """Return the ratio of a camera's CPU time with 32 cameras to that with 8."""
    return float(figures["many"]["each_percent"] / figures["few"]["each_percent"])


def _megabytes(figures: Figures) -> str:
    kinds = ", ".join(
        f"{kind} {' + '.join(f'{size / 1e6:.0f}' for size in sizes)}"
        for kind, sizes in figures["memory_bytes"].items()
    )
    return f"{figures['total_bytes'] / 1e6:.0f} MB ({kinds})"


def _wall_ratio(figures: Figures, name: str) -> float:
    """Return the ratio of a figure of a wall that shows `main` to that of one that shows the sub-streams."""
    return float(figures["walls"]["main"][name] / figures["walls"]["sub"][name])


def _wall(figures: Figures, name: str) -> str:
    main, sub = (figures["walls"][stream][name] for stream in ("main", "sub"))
    return f"1/{_wall_ratio(figures, name):.1f} ({sub:.1f} of {main:.1f}"


def _is_whole(recorded: Figures) -> bool:
    return (
        not recorded["packets_lost"]
        and not recorded["left_out"]
        and recorded["recording"] == recorded["cameras"]
    )


_KINDS = ("serve", "engine", "capture", "vision", "web")


def _kinds(cpu: Mapping[str, Any]) -> str:
    return ", ".join(f"{kind} {cpu[kind]:.1f}" for kind in _KINDS if kind in cpu)


def _fine_kinds(cpu: Mapping[str, Any]) -> str:
    return ", ".join(f"{kind} {cpu[kind]:.2f}" for kind in (*_KINDS, "jobs") if cpu.get(kind))


ROWS = (
    Row(
        "connections", "camera connections, 8 viewers", "live", "1",
        lambda f: str(f["connections"]), lambda f: f["connections"] == 1, lambda s: str(s["connections"]),
    ),
    Row(
        "fps", "fps per viewer, 8 viewers", "live", ">= 24.5 each",
        lambda f: f"{min(_fps(f)):.1f} - {max(_fps(f)):.1f}", lambda f: min(_fps(f)) >= 24.5, _seed_fps,
    ),
    Row(
        "cpu", "CPU, 8 MJPEG viewers", "live", "<= 35 %",
        lambda f: f"{_cpu(f, 8):.1f} % ({_kinds(f['cpu_8'])})", lambda f: _cpu(f, 8) <= 35,
        lambda s: f"{_cpu(s, 8):.0f} %",
    ),
    Row(
        "cpu-ratio", "CPU of 8 viewers / of 1", "live", "<= 1.3",
        lambda f: f"{_cpu_ratio(f):.2f} (one: {_cpu(f, 1):.1f} %: {_kinds(f['cpu_1'])})",
        lambda f: _cpu_ratio(f) <= 1.3, lambda s: f"{_cpu_ratio(s):.1f} (one: {_cpu(s, 1):.0f} %)",
    ),
    Row(
        "latency", "latency camera send -> JPEG at the client, 8 viewers, p50 / p95", "live", "<= 25 / 60 ms",
        _latency_text, lambda f: _latency(f)[0] <= 25 and _latency(f)[1] <= 60, _latency_text,
    ),
    Row(
        "latency-1", "the same, 1 viewer", "live", "",
        lambda f: _latency_text(f, 1), None, lambda s: _latency_text(s, 1),
    ),
    Row(
        "first-frame", "first frame of a second viewer on any worker, worst (p50)", "first-frame", "<= 150 ms",
        lambda f: f"{f['worst_ms']:.0f} ms ({f['p50_ms']:.0f}); token {f['token']['worst_ms']:.0f}, "
        f"cookie {f['cookie']['worst_ms']:.0f}; "
        f"{min(f['token']['workers_reached'], f['cookie']['workers_reached'])} workers reached",
        lambda f: f["worst_ms"] <= 150,
        lambda s: f"{s['second_viewer_worst_ms']:.0f} ms ({s['second_viewer_p50_ms']:.0f})",
    ),
    Row(
        "first-of-all", "first frame of the first viewer: the decoder starts", "first-frame", "",
        lambda f: f"{f['first_of_all_ms']:.0f} ms",
    ),
    Row(
        "passthrough", "passthrough viewer (WebSocket), each of 50 more", "passthrough", "<= 0.15 %",
        lambda f: f"{f['each_percent']:.3f} % ({f['cpu_1']['total']:.1f} -> {f['cpu_many']['total']:.1f} %); "
        f"{f['alone_percent']:.3f} % each where all workers have viewers already",
        lambda f: f["each_percent"] <= 0.15,
    ),
    Row(
        "idle", "16 cameras, nobody watches, no recording", "idle", "<= 0.4 % per camera, nothing decoded",
        lambda f: f"{f['each_percent']:.2f} % ({_kinds(f['cpu'])}), "
        + ("nothing decoded" if f["nothing_decoded"] else "DECODED"),
        lambda f: f["each_percent"] <= 0.4 and f["nothing_decoded"], lambda s: "no camera without a viewer",
    ),
    Row(
        "idle-one", "the whole product with one camera, nobody watches", "one-camera", "<= 0.5 %",
        lambda f: f"{f['idle']['total']:.2f} % ({_fine_kinds(f['idle'])})", lambda f: f["idle"]["total"] <= 0.5,
    ),
    Row(
        "first-viewer", "added by its first WebSocket viewer", "one-camera", "<= 0.8 %",
        lambda f: f"{f['added_percent']:.2f} % ({_fine_kinds(f['added'])})", lambda f: f["added_percent"] <= 0.8,
    ),
    Row(
        "memory-idle", "memory (PSS) of all with one camera, no viewers, 2 / 4 workers", "processes", "<= 200 / 230 MB",
        lambda f: f"{_megabytes(f['workers_2'])} / {_megabytes(f['workers_4'])}",
        lambda f: f["workers_2"]["total_bytes"] <= 200e6 and f["workers_4"]["total_bytes"] <= 230e6,
    ),
    Row(
        "start", "start of serve to the first frame, 2 workers, p50 (worst)", "processes", "<= 2.5 s",
        lambda f: ", ".join(
            f"{name} {each['p50']:.2f} ({max(each['all']):.2f})" for name, each in f["workers_2"]["start_s"].items()
        ) + " s",
        lambda f: all(each["p50"] <= 2.5 for each in f["workers_2"]["start_s"].values()),
    ),
    Row(
        "threads", "threads / database connections per viewer, 30 viewers", "threads", "0 / 0",
        lambda f: f"{f['threads_per_viewer']:.2g} / {f['connections_per_viewer']:.2g} "
        f"({f['threads_before']} -> {f['threads_during']} threads)",
        lambda f: f["threads_per_viewer"] == 0 and f["connections_per_viewer"] == 0,
        lambda s: f"{s['threads_per_viewer']:.1f} / -",
    ),
    Row(
        "chromium", "latency camera send -> drawn in Chromium (WebCodecs), p50", "chromium", "<= 60 ms",
        lambda f: f"{f['webcodecs']['p50_ms']:.0f} ms (p95 {f['webcodecs']['p95_ms']:.0f}, "
        f"{f['webcodecs']['fps']:.1f} fps)", lambda f: f["webcodecs"]["p50_ms"] <= 60,
    ),
    Row(
        "chromium-overlay", "the same, the overlay", "chromium", "",
        lambda f: f"{f['overlay']['p50_ms']:.0f} ms (p95 {f['overlay']['p95_ms']:.0f}, {f['overlay']['fps']:.1f} fps)",
    ),
    Row(
        "chromium-mse", "the same, MSE", "chromium", "",
        lambda f: f"{f['mse']['p50_ms']:.0f} ms (p95 {f['mse']['p95_ms']:.0f}, {f['mse']['fps']:.1f} fps)",
    ),
    Row(
        "wall-bytes", "wall of 16 cameras (1080p main, 360p sub) in Chromium, bytes of a tile of sub / of main",
        "streams", "<= 1/6", lambda f: f"{_wall(f, 'mbit_s')} Mbit/s)", lambda f: _wall_ratio(f, "mbit_s") >= 6,
    ),
    Row(
        "wall-cpu", "the same, CPU of the browser for a tile", "streams", "<= 1/5",
        lambda f: f"{_wall(f, 'cpu_percent')} %; {f['walls']['sub']['frames_per_s']:.0f} and "
        f"{f['walls']['main']['frames_per_s']:.0f} frames/s; {f['walls']['sub']['tiles']} and "
        f"{f['walls']['main']['tiles']} tiles)",
        lambda f: _wall_ratio(f, "cpu_percent") >= 5,
    ),
    Row(
        "stream-switch", "change of stream in the player: time without a new picture beyond the key frame, p95 (p50)",
        "streams", "<= 2 frames",
        lambda f: f"{f['switches']['p95_frames']:.1f} ({f['switches']['p50_frames']:.1f}) frames, "
        f"{f['switches']['count']} changes; {f['switches']['usual_p95_frames']:.1f} without a change",
        lambda f: f["switches"]["p95_frames"] <= 2,
    ),
    Row(
        "stream-connections", "connections to sub-streams that nobody watches", "streams", "0",
        lambda f: f"{f['unwatched_connections']} ({f['walls']['sub']['connections']} while the wall shows them)",
        lambda f: f["unwatched_connections"] == 0,
    ),
    Row(
        "memory", "memory after 1,000 viewers that came and went", "memory", "+ < 5 %",
        lambda f: f"{f['growth_percent']:+.1f} % ({f['before_bytes'] / 1e6:.0f} -> {f['middle_bytes'] / 1e6:.0f} -> "
        f"{f['after_bytes'] / 1e6:.0f} MB, {f['saw_a_frame']} of {f['viewers']} saw a frame)",
        lambda f: f["growth_percent"] < 5,
    ),
    Row(
        "record", "CPU to ingest and record, each of 16 cameras 1080p25", "recording", "<= 0.8 %",
        lambda f: f"{f['full-hd']['each_percent']:.2f} % ({_kinds(f['full-hd']['cpu'])}; "
        f"{f['full-hd']['media_mbit_s']:.1f} Mbit/s each)",
        lambda f: f["full-hd"]["each_percent"] <= 0.8 and _is_whole(f["full-hd"]),
    ),
    Row(
        "record-growth", "the same, 720p25, growth from 8 to 32 cameras", "recording", "linear within 15 %",
        lambda f: f"{f['few']['each_percent']:.2f} -> {f['many']['each_percent']:.2f} % each, x {_growth(f):.2f}",
        lambda f: _growth(f) <= 1.15,
    ),
    Row(
        "record-32", "32 cameras of 720p25 recorded at once", "recording",
        "no packet lost, <= 25 % of a core, <= 1.02 x media",
        lambda f: f"{f['many']['packets_lost']} packets lost, {f['many']['left_out']} left out, "
        f"{f['many']['cpu']['total']:.1f} % ({_kinds(f['many']['cpu'])}), {f['many']['written_of_media']:.4f} x media",
        lambda f: _is_whole(f["many"]) and f["many"]["cpu"]["total"] <= 25 and f["many"]["written_of_media"] <= 1.02,
    ),
    Row(
        "lost-killed", "lost after kill -9 of capture, worst (p50)", "losses", "<= 1 s",
        lambda f: f"{f['killed']['worst_s']:.2f} s ({f['killed']['p50_s']:.2f}), {f['killed']['deaths']} deaths",
        lambda f: f["killed"]["worst_s"] <= 1.0,
    ),
    Row(
        "lost-power", "lost after a power cut, worst (p50)", "losses", "<= 1 s",
        lambda f: f"{f['power']['worst_s']:.2f} s ({f['power']['p50_s']:.2f}), {f['power']['deaths']} cuts"
        if "power" in f else "no loop devices here",
        lambda f: "power" in f and f["power"]["worst_s"] <= 1.0,
    ),
    Row(
        "timeline", "timeline of 24 h x 16 cameras of a month, with events and activity", "timeline",
        "<= 50 ms, SQLite and PostgreSQL",
        lambda f: ", ".join(
            f"{name}: {figures['all']['p50_ms']:.0f} ms, worst {figures['all']['worst_ms']:.0f} "
            f"(spans alone {figures['spans']['p50_ms']:.0f})" for name, figures in f.items()
        ),
        lambda f: len(f) == 2 and all(figures["all"]["p50_ms"] <= 50 for figures in f.values()),
    ),
    Row(
        "events", "list and filter 10,000 events of a camera, slowest of all filters", "timeline",
        "<= 50 ms, SQLite and PostgreSQL",
        lambda f: ", ".join(
            f"{name}: {_slowest_filter(figures):.0f} ms (the newest {figures['find']['all']['p50_ms']:.0f})"
            for name, figures in f.items()
        ),
        lambda f: len(f) == 2 and all(_slowest_filter(figures) <= 50 for figures in f.values()),
    ),
    Row(
        "index", "a month of 16 cameras in the index, SQLite", "timeline", "<= 150 MB",
        lambda f: f"{f['sqlite']['size_bytes'] / 1e6:.0f} MB ({f['sqlite']['rows']} files, "
        f"{f['sqlite']['events']} events; {f['sqlite']['cpu_us_per_row']:.0f} us of CPU a row)",
        lambda f: f["sqlite"]["size_bytes"] <= 150e6,
    ),
    Row(
        "seek", "seek to any instant of a month: first byte / first frame in Chromium, p95 (p50)", "seek",
        "<= 100 / 400 ms",
        lambda f: f"{f['first_byte']['p95_ms']:.0f} ({f['first_byte']['p50_ms']:.0f}) / "
        f"{f['first_frame']['p95_ms']:.0f} ({f['first_frame']['p50_ms']:.0f}) ms, {f['seeks']} seeks",
        lambda f: f["first_byte"]["p95_ms"] <= 100 and f["first_frame"]["p95_ms"] <= 400,
    ),
    Row(
        "export", "export of 10 minutes without re-encoding", "export", ">= 100 x real time",
        lambda f: f"{f['copy']['times_real']:.0f} x ({f['copy']['cpu_s']:.2f} s of CPU)",
        lambda f: f["copy"]["times_real"] >= 100,
    ),
    Row(
        "export-drawn", "the same as a timelapse of 60 x; a minute with the clock burned in", "export", "",
        lambda f: f"{f['timelapse']['times_real']:.0f} x; {f['burned']['times_real']:.1f} x",
    ),
    Row(
        "ptz-press", "PTZ: from the key to the command at the camera, p95 (p50)", "ptz", "<= 40 ms",
        lambda f: f"{f['press_ms']['p95']:.0f} ms ({f['press_ms']['p50']:.0f})", lambda f: f["press_ms"]["p95"] <= 40,
    ),
    Row(
        "ptz-stop", "PTZ: to the stop, worst: key released / socket lost / client silent", "ptz", "<= 300 ms",
        lambda f: " / ".join(
            f"{f[name]['worst']:.0f}" for name in ("release_ms", "lost_socket_ms", "silent_client_ms")
        ) + " ms",
        lambda f: f["stop_worst_ms"] <= 300,
    ),
    Row(
        "talk-delay", "talk: from a sound to the camera's wire, p95 (p50); from the press to a ready camera", "talk",
        "<= 300 ms",
        lambda f: f"{f['delay_ms']['p95']:.0f} ms ({f['delay_ms']['p50']:.0f}); {f['press_ms']['p95']:.0f} ms",
        lambda f: f["delay_ms"]["p95"] <= 300,
    ),
    Row(
        "talk-end", "talk: to the camera's TEARDOWN, p95: button released / socket lost", "talk", "<= 300 ms",
        lambda f: " / ".join(f"{f[name]['p95']:.0f}" for name in ("release_ms", "lost_socket_ms")) + " ms",
        lambda f: max(f["release_ms"]["p95"], f["lost_socket_ms"]["p95"]) <= 300,
    ),
    Row(
        "publish-cpu", "CPU for each of 16 publishers of 720p25, nobody watches: RTMP / RTSP", "publishing", "<= 0.4 %",
        lambda f: " / ".join(
            f"{f[name]['each_percent']:.2f} % ({_kinds(f[name]['cpu'])})" for name in ("rtmp", "rtsp")
        ),
        lambda f: max(f["rtmp"]["each_percent"], f["rtsp"]["each_percent"]) <= 0.4,
    ),
    Row(
        "publish-latency", "from a publisher to a viewer (WebSocket), p50 (p95): RTMP / RTSP", "publishing",
        "<= 15 ms beyond the frame",
        lambda f: " / ".join(f"{f[name]['p50_ms']:.1f} ({f[name]['p95_ms']:.1f})" for name in ("rtmp", "rtsp")) + " ms",
        lambda f: max(f["rtmp"]["p50_ms"], f["rtsp"]["p50_ms"]) <= 15,
    ),
    Row(
        "phone-latency", "phone page: from the phone's own screen to another browser's (720p30, loopback), p50 (p95)",
        "phone", "<= 120 ms",
        lambda f: f"{f['p50_ms']:.0f} ({f['p95_ms']:.0f}) ms, {f['frames']} frames",
        lambda f: f["p50_ms"] <= 120 and f["frames"] > 100,
    ),
    Row(
        "attack-gaps", "longest gap for viewers during each attack from the network, 2 workers", "attacks", "<= 300 ms",
        lambda f: ", ".join(f"{name} {each['gap_ms']:.0f}" for name, each in f.items()) + " ms",
        lambda f: all(each["gap_ms"] <= 300 for each in f.values()),
    ),
    Row(
        "attack-health", "/healthz during each attack, p95", "attacks", "<= 50 ms",
        lambda f: ", ".join(f"{name} {each['health']['p95_ms']:.0f}" for name, each in f.items()) + " ms",
        lambda f: all(each["health"]["p95_ms"] <= 50 and not each["health"]["failures"] for each in f.values()),
    ),
    Row(
        "discovery", "search of a /24 with 20 simulated devices, 3 of which never answer, not as root", "discovery",
        "20 in <= 8 s, <= 300 connections",
        lambda f: f"{f['found']} in {f['seconds']:.1f} s, {f['connections']} connections",
        lambda f: f["found"] == 20 and f["seconds"] <= 8 and f["connections"] <= 300,
    ),
    Row(
        "inference", "one inference, one thread: p50 (CPU), memory, start", "inference", "",
        lambda f: ", ".join(
            f"{name}: {each['p50_ms']} ({each['cpu_ms']}) ms, {each['memory_mb']} MB, {each['start_ms']} ms"
            for name, each in f.items()
        ),
    ),
    Row(
        "backtest", "backtest of motion on one-by-one-person-detection.mp4 (each frame examined)", "backtest",
        ">= 40 x real time",
        lambda f: f"{f['motion']['speed']:.0f} x ({f['every_frame']['speed']:.0f} x)",
        lambda f: min(f["motion"]["speed"], f["every_frame"]["speed"]) >= 40,
    ),
    Row(
        "motion-search", "search of recordings for motion in a region (with the start of the command)", "backtest",
        ">= 500 x real time",
        lambda f: f"{f['search']['speed']} x ({f['search']['command_speed']} x), "
        f"{f['search']['key_frames']} key frames of 768 x 432",
        lambda f: f["search"]["speed"] >= 500,
    ),
    Row(
        "objects", "YOLOX-Nano at 5 fps on 720p25 with a sub-stream of 640x360, in all: moving / still scene",
        "vision", "<= 15 / <= 1.5 %",
        lambda f: f"{f['moving']['total']:.1f} % ({f['moving']['fps']:.1f} fps, {_kinds(f['moving']['cpu'])}) / "
                  f"{f['still']['total']:.2f} % ({_kinds(f['still']['cpu'])})",
        lambda f: f["moving"]["total"] <= 15 and f["moving"]["fps"] >= 4.8 and f["still"]["total"] <= 1.5,
    ),
    Row(
        "machinery", "our machinery per frame of 720p, beyond decoding, user code and encoding", "floors", "<= 0.4 ms",
        lambda f: f"{f['machinery_ms']:.2f} ms ({f['vision_ms']:.2f} - {f['floor_ms']:.2f})",
        lambda f: f["machinery_ms"] <= 0.4,
    ),
    Row(
        "pipeline", "eight MJPEG viewers against a GStreamer pipeline in C, in the same run", "floors", "<= 1.1 x",
        lambda f: f"{f['ratio']:.2f} x ({f['product']:.1f} / {f['pipeline']:.1f} %)",
        lambda f: f["ratio"] <= 1.1,
    ),
    Row(
        "annotation-delay", "camera sends -> annotation of `motion` at a player, p50 / p95",
        "annotated", "<= 45 / 90 ms",
        lambda f: f"{f['p50_ms']:.0f} / {f['p95_ms']:.0f} ms",
        lambda f: f["p50_ms"] <= 45 and f["p95_ms"] <= 90,
    ),
    Row(
        "annotation-frame", "annotations that Chromium draws on their own frame", "annotated", ">= 99.5 %",
        lambda f: f"{100 * f['own_frame']:.1f} % of {f['drawn']} ({f['of_frames']} frames)",
        lambda f: f["own_frame"] >= 0.995,
    ),
    Row(
        "motion", "cameras of 640x360 at 10 fps with motion, none falling behind", "vision", ">= 40",
        lambda f: f"{f['many']['cameras']}: {f['many']['fps_least']:.1f} fps at least, {f['many']['dropped']} frames "
                  f"dropped, {f['many']['total']:.0f} % of a core ({_kinds(f['many']['cpu'])})",
        lambda f: f["many"]["cameras"] >= 40 and not f["many"]["dropped"] and f["many"]["fps_least"] >= 9.5,
    ),
)  # fmt: skip


def cells(row: Row, figures: Mapping[str, Figures], skipped: Mapping[str, str]) -> list[str]:
    """Return title, seed, requirement, measured value, and whether it is met."""
    seed = "-"
    if row.seed:
        seed = row.seed(figures["seed"]) if "seed" in figures else skipped.get("seed", "not measured")
    if row.job not in figures:
        return [row.title, seed, row.must, skipped.get(row.job, "not measured"), "-"]
    own = figures[row.job]
    verdict = "" if row.met is None else "yes" if row.met(own) else "NO"
    return [row.title, seed, row.must, row.measured(own), verdict]


def markdown(rows: list[list[str]]) -> str:
    """Return a Markdown table that is also legible as plain text."""
    lines = [["720p25, 4 ASGI workers, a drawn overlay", "seed", "must reach", "measured", "ok?"], *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )
