"""A table of posts with the columns that a predictor adds, for an output in one file or in parts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from jointune.config import check_settings
from jointune.data.problems import OnBadImage, valid_policy
from jointune.data.read import Columns, PostsFile
from jointune.errors import SettingsError, setting
from jointune.inference.load import check_options, columns_of, load_predictor
from jointune.modalities.text.text_fit import TextFitCounter
from jointune.output.writers import Layout, added_columns, check_output, columns_of_earlier_scoring, make_layout

if TYPE_CHECKING:
    from pathlib import Path

    from jointune.inference.predictor import Predictor
    from jointune.inference.scored import Scored, ScoredChunk


@dataclass(frozen=True)
class PredictOptions:
    """What scored rows depend on, beside the posts and the content of the bundle.

    Attributes:
        bundle: its folder, or that of an export, or a hub id.
        columns: the names of the columns, as the posts' owner gave them.
        encoding: character encoding of text formats.
        on_bad_image: see ``OnBadImage``.
        max_images: images of a post that are used; as in training by default.
        frames: of a moving image that are used; likewise.
        abstain: see ``load_predictor``, as are all up to ``engine``.
        coverage: likewise.
        sets: likewise.
        ood: likewise.
        device: likewise.
        engine: likewise.
        prefix: of the names of the added columns.
        safe_csv: whether ``safe_cell`` is applied in CSV and TSV files.
    """

    bundle: str
    columns: Columns
    encoding: str | None = None
    on_bad_image: OnBadImage = "error"
    max_images: int | None = None
    frames: int | None = None
    abstain: float | None = None
    coverage: float | None = None
    sets: str | None = None
    ood: bool = False
    device: str | None = None
    engine: str | None = None
    prefix: str = ""
    safe_csv: bool = False

    def check(self) -> None:
        """See that the options are possible, as far as that is told without torch; see ``check_options``."""
        valid_policy(self.on_bad_image)
        if self.sets is not None and self.coverage is None:
            raise SettingsError(
                f"{setting('sets')} is of prediction sets",
                f"say how much they are to cover, such as {setting('coverage', 0.9)}",
            )
        check_options(self.bundle, self.device, self.abstain, self.engine, self.coverage)
        check_settings({"max_images": self.max_images, "frames": self.frames})

    def described(self) -> dict[str, Any]:
        """Return the options as JSON values, by the names that messages give them; without the bundle."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("bundle", "columns")}
        use = self.columns
        values |= {"text_column": use.text, "image_column": use.image, "remote_images": use.remote_images}
        values |= {"image_root": use.image_root and str(use.image_root)}
        return {setting(name): value for name, value in values.items()}

    def open(self, posts: "str | Path", progress: bool = False) -> PostsFile:
        """Open a table of posts, with the columns that the model reads."""
        return PostsFile(posts, columns_of(self.bundle, self.columns), self.encoding, progress)

    def load(self) -> "Predictor":
        """Load the predictor; see ``load_predictor``."""
        wanted = (self.device, self.abstain, self.engine, self.coverage, self.sets, self.ood)
        return load_predictor(self.bundle, *wanted).with_images(self.max_images, self.frames)


@dataclass(frozen=True)
class PredictedTable:
    """A table of posts, and the columns that it has once it is scored.

    Attributes:
        file: the posts.
        options: what is predicted.
    """

    file: PostsFile
    options: PredictOptions

    @cached_property
    def replaced(self) -> list[str]:
        """The columns of an earlier scoring, which are left out."""
        return columns_of_earlier_scoring(self.file.table, self.options.prefix)

    def added(self, predictor: "Predictor") -> list[str]:
        """Return the names of the added columns."""
        return [f"{self.options.prefix}{name}" for name in predictor.added_columns]

    def check(self, path: "Path", predictor: "Predictor | None" = None) -> None:
        """Check that the scored rows can be written; without a predictor, as far as no model has to be loaded for it.

        Raises:
            OutputError: ``path`` is of no known format, or the posts have an added column already.
            MissingExtraError: it is a Parquet file and pyarrow is not installed.
        """
        kept = [name for name in self.file.columns if name not in set(self.replaced)]
        added = self.added(predictor) if predictor else added_columns([], self.options.prefix)
        remedy = f"rename it, or name the added columns otherwise, such as with {setting('prefix', 'new_')}"
        check_output(path, kept, added, remedy)

    def layout(self, path: "Path", predictor: "Predictor") -> Layout:
        """Return the format and the columns of the scored table."""
        texts = {f"{self.options.prefix}{name}" for name in predictor.text_columns}
        added = self.added(predictor)
        return make_layout(path, self.file.table, added, self.replaced, self.options.safe_csv, texts)

    def chunks(
        self, predictor: "Predictor", start: int = 0, stop: int | None = None, fit: TextFitCounter | None = None
    ) -> "Iterator[ScoredChunk]":
        """Score the posts from ``start`` on, up to ``stop``; see ``Predictor.chunks``."""
        posts = islice(self.file, start, stop)
        return predictor.chunks(posts, self.options.on_bad_image, self.file.path.name, fit=fit)

    def rows(self, scored: "Sequence[Scored]", predictor: "Predictor") -> Iterator[dict[str, Any]]:
        """Yield the row of each scored post."""
        left_out, added = set(self.replaced), self.added(predictor)
        for entry in scored:
            fields = {name: value for name, value in entry.post.fields.items() if name not in left_out}
            yield {**fields, **dict(zip(added, predictor.cells(entry), strict=True))}
