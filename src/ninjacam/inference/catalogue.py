"""Models that `ninjacam models pull` downloads from their authors. The weights are not part of this package."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ninjacam.inference.spec import COCO, ModelSpec, make_spec, read_labels


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """`about`: what it finds. `url`: of the file at its author. `spec`: includes sha256, licence and source."""

    name: str
    about: str
    url: str
    size_bytes: int
    spec: ModelSpec
    is_coco: bool = True

    @property
    def labels(self) -> tuple[str, ...]:
        return read_labels(COCO) if self.is_coco else ("face",)

    @property
    def file_name(self) -> str:
        return self.url.rpartition("/")[2]


_ZOO = "https://github.com/opencv/opencv_zoo"

CATALOGUE = (
    CatalogueEntry(
        "yolox-nano",
        "80 kinds of objects (COCO), the fastest",
        "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/yolox_nano.onnx",
        3_713_911,
        make_spec(
            {
                "decoder": "yolox",
                "input_size": (416, 416),
                "sha256": "d39bee73564e338080378b0ad567fbb40e818b55bbfaf971de82a0267ed16b8a",
                "licence": "Apache-2.0",
                "source": "https://github.com/Megvii-BaseDetection/YOLOX",
            }
        ),
    ),
    CatalogueEntry(
        "nanodet",
        "80 kinds of objects (COCO)",
        f"{_ZOO}/raw/main/models/object_detection_nanodet/object_detection_nanodet_2022nov.onnx",
        3_800_954,
        make_spec(
            {
                "decoder": "nanodet",
                "input_size": (416, 416),
                "sha256": "4b82da9944b88577175ee23a459dce2e26e6e4be573def65b1055dc2d9720186",
                "licence": "Apache-2.0",
                "source": _ZOO,
            }
        ),
    ),
    CatalogueEntry(
        "yunet",
        "faces, with five landmarks",
        f"{_ZOO}/raw/main/models/face_detection_yunet/face_detection_yunet_2023mar.onnx",
        232_589,
        make_spec(
            {
                "decoder": "yunet",
                "sha256": "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
                "licence": "MIT",
                "source": _ZOO,
            }
        ),
        is_coco=False,
    ),
)

_BY_NAME: Mapping[str, CatalogueEntry] = MappingProxyType({each.name: each for each in CATALOGUE})
_BY_SHA256: Mapping[str, CatalogueEntry] = MappingProxyType({each.spec.sha256: each for each in CATALOGUE})


def by_name(name: str) -> CatalogueEntry | None:
    return _BY_NAME.get(name)


def by_sha256(sha256: str) -> CatalogueEntry | None:
    return _BY_SHA256.get(sha256)
