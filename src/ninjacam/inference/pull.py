"""Downloads a model of the catalogue and installs it."""

from pathlib import Path

from ninjacam.core.errors import DownloadError, ModelError
from ninjacam.inference.catalogue import CATALOGUE, by_name
from ninjacam.inference.download import Progress, download
from ninjacam.inference.stored import StoredModel, find_stored, install
from ninjacam.inference.trial import try_model


def pull(models_dir: Path, name: str, on_progress: Progress = lambda have, size: None) -> StoredModel:
    """Return the installed model; download it first if it is not there.

    Raises: ModelError; DownloadError: with the way to install it on a host without a connection.
    """
    entry = by_name(name)
    if entry is None:
        names = ", ".join(each.name for each in CATALOGUE)
        raise ModelError(f"The catalogue has no model “{name}”. It has {names}.")
    if (models_dir / name).is_dir():
        return find_stored(models_dir, name)
    part = models_dir / ".downloads" / f"{entry.spec.sha256}.onnx"
    try:
        download(
            entry.url, part, size_bytes=entry.size_bytes, sha256=entry.spec.sha256, on_progress=on_progress
        )
    except DownloadError as exc:
        raise DownloadError(
            f"{exc.message} Without a connection, download {entry.url} on another computer, copy it to this one and "
            f"run: ninjacam models add {entry.file_name}"
        ) from exc
    spec = entry.spec.model_copy(update={"source": entry.url})
    stored = install(models_dir, part, name, spec, entry.labels, lambda made: try_model(made).engine)
    part.unlink(missing_ok=True)
    return stored
