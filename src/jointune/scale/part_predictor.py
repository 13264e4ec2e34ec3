"""Score the parts of an input one by one, each once, with one predictor."""

from pathlib import Path
from typing import Any

from jointune import __version__
from jointune.data.problems import Problem
from jointune.data.read import PostsFile
from jointune.inference.load import columns_of
from jointune.inference.predictor import Predictor
from jointune.output.predicted_table import PredictedTable, PredictOptions
from jointune.output.resumable import list_problems
from jointune.output.writers import open_writer
from jointune.scale.input_parts import InputPart
from jointune.scale.scored_folder import FinishedPart, ScoredFolder
from jointune.utils.files import sha256


def described_run(posts: str, options: PredictOptions, bundle: Path) -> dict[str, Any]:
    """Return what scored parts depend on, as JSON values, by the names that messages give them.

    The parts of ``posts`` may become more.
    """
    digests = {file.name: sha256(file) for file in sorted(bundle.iterdir()) if file.is_file()}
    return {"posts": posts, "bundle": digests, "jointune": __version__, **options.described()}


class PartPredictor:
    """Scores parts; several threads may use it at once.

    Args:
        options: what is predicted; their bundle is not read later.
        folder: of the output.
        predictor: as ``options.load`` returns it.
    """

    def __init__(self, options: PredictOptions, folder: ScoredFolder, predictor: Predictor) -> None:
        self.options, self.folder, self.predictor = options, folder, predictor
        self._columns = columns_of(options.bundle, options.columns)

    def ensure(self, part: InputPart) -> FinishedPart:
        """Score a part, unless an earlier run did and its output is intact.

        Raises:
            PostsError: a post cannot be used, or the table is damaged or was changed meanwhile.
            OutputError: the output cannot be written.
        """
        if finished := self.folder.finished(part):
            return finished
        table = PredictedTable(PostsFile(part.table, self._columns, self.options.encoding), self.options)
        table.check(Path(part.name), self.predictor)
        layout = table.layout(Path(part.name), self.predictor)
        problems: list[Problem] = []
        read = rows = 0
        output = self.folder.output(part)
        with output.file(part.name) as path, open_writer(path, layout) as writer:
            for chunk in table.chunks(self.predictor, part.start, part.stop):
                for row in table.rows(chunk.scored, self.predictor):
                    writer.write(row)
                read += chunk.read
                rows += len(chunk.scored)
                problems += chunk.problems
        if problems:
            with output.file(f"_problems/{part.name}.csv") as path:
                list_problems(problems, path, layout.safe)
        return output.finish(read, rows, len(problems))
