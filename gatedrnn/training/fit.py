"""One training of any task: tokens, model, Brain, epochs, tests and ``results.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from speechbrain.utils.distributed import (
    MainProcessContext,
    ddp_barrier,
    if_main_process,
    run_on_main,
)
from speechbrain.utils.logger import get_logger
from torch import nn

from gatedrnn.data.files import write_atomically
from gatedrnn.data.report import Report
from gatedrnn.modules.network_options import parameters, size_for
from gatedrnn.training.brain import Brain
from gatedrnn.training.checkpoints import SafeCheckpointer
from gatedrnn.training.launch import run_recipe
from gatedrnn.training.log import Curve, TrainingLog

logger = get_logger(__name__)

Result = TypeVar("Result")

#: Description of the model in the output folder, from which bundles are made without any Brain.
MODEL_JSON = "model.json"


class Training:
    """A training of a task: subclasses fill in its hooks, :meth:`run` does what all tasks share.

    Hooks are called in the order in which they stand here, in every process unless they say
    otherwise.

    hparams: The YAML's values: ``output_folder``, ``seed``, ``opt_class``, ``epoch_counter``,
        and what the hooks and the Brain take.
    run_opts: SpeechBrain's options of the command line.
    data: What the recipe has read: training, validation and test sets.
    report: Issues found while reading; written to ``report.json`` in the output folder.
    """

    #: Name of the task's folder in ``gatedrnn.tasks``, for ``model.json``.
    task: ClassVar[str]
    brain_class: ClassVar[type[Brain]]
    #: What the learning curve shows beside the losses.
    curve: ClassVar[Curve] = Curve()

    def __init__(
        self,
        hparams: Mapping[str, Any],
        run_opts: Any,
        data: Any,
        report: Report | None = None,
    ) -> None:
        self.hparams, self.run_opts, self.data, self.report = hparams, run_opts, data, report
        self.folder = Path(hparams["output_folder"])
        self.model: nn.Module

    # ---- hooks ------------------------------------------------------------------------------

    def make_tokens(self) -> None:
        """Learns the tokens and writes them to the output folder; on the main process only."""

    def prepare(self) -> None:
        """Loads the tokens and makes datasets."""

    def make_model(self) -> nn.Module:
        """Makes the untrained model."""
        raise NotImplementedError

    def modules(self) -> dict[str, nn.Module]:
        """Modules of the Brain."""
        return {"model": self.model}

    def brain_options(self) -> dict[str, Any]:
        """Arguments of the Brain besides those that all Brains take."""
        return {}

    def describe(self) -> dict[str, Any] | None:
        """What ``model.json`` says of the model; ``None`` for no such file. Main process only."""
        return None

    def valid_loader(self, brain: Any) -> Any:
        """Loader of the validation set."""
        raise NotImplementedError

    def train_loader(self, brain: Any) -> Any:
        """Loader of the training set; not called with ``--test_only``."""
        raise NotImplementedError

    def test(self, brain: Any, valid_loader: Any) -> dict[str, dict[str, Any]]:
        """Tests the best checkpoint: set -> its metrics."""
        raise NotImplementedError

    def results(self) -> dict[str, Any]:
        """What ``results.json`` says of the model and its data. Main process only."""
        return {}

    # ---- what all tasks share ---------------------------------------------------------------

    def run(self) -> dict[str, dict[str, Any]]:
        """Trains, or resumes a training, and tests the best of its checkpoints."""
        self.folder.mkdir(parents=True, exist_ok=True)
        run_on_main(self.make_tokens)
        self.prepare()
        brain = self.make_brain()
        if if_main_process():
            self.write_description()
            if self.report is not None:
                write_report(self.report, self.folder)
        valid_loader = self.valid_loader(brain)
        if not brain.test_only:
            brain.fit(brain.counter, self.train_loader(brain), valid_loader)
            brain.log.write()
            brain.average_best(valid_loader)
        # Tests recover the best checkpoint, and with it its epoch.
        epochs = brain.counter.current
        metrics = self.test(brain, valid_loader)
        if if_main_process():
            results = {
                "seed": self.hparams["seed"],
                "parameters": parameters(self.model),
                "epochs": epochs or brain.counter.current,
                **brain.spent(),
                **self.results(),
                "sets": metrics,
            }
            self.write_results(results)
        return metrics

    def make_brain(self) -> Brain:
        """Makes the untrained model, and its Brain."""
        self.model = self.make_model()
        return self.brain_class(
            hparams=self.hparams,
            modules=self.modules(),
            opt_class=self.hparams["opt_class"],
            run_opts=self.run_opts,
            checkpointer=SafeCheckpointer(self.folder / "save", {"model": self.model}),
            log=TrainingLog(self.folder, self.curve),
            **self.brain_options(),
        )

    def write_results(self, results: dict[str, Any]) -> None:
        """Writes ``results.json``; on the main process only."""
        write_atomically(self.folder / "results.json", json.dumps(results, indent=2) + "\n")

    def write_description(self) -> None:
        """Writes ``model.json``, or there why it cannot be; on the main process only."""
        try:
            description = self.describe()
        except ValueError as error:
            description = {"problem": str(error)}
        if description is not None:
            whole = {
                "task": self.task,
                "valid_metric": self.brain_class.valid_metric,
                "higher_is_better": self.brain_class.higher_is_better,
                **description,
            }
            write_atomically(self.folder / MODEL_JSON, json.dumps(whole, indent=2) + "\n")


def train(
    arguments: Sequence[str],
    training: type[Training],
    read: Callable[[Mapping[str, Any], Report], Any],
    corpus_key: str = "corpus",
) -> dict[str, Any]:
    """Runs a training as the command line of a recipe says.

    arguments: Of the command line: a YAML file, and what to override in it.
    training: The task's subclass of :class:`Training`.
    read: Reads the data, given the YAML's values and a report for issues; called on the main
        process before the others, so that these find what it writes.
    corpus_key: Key of the YAML with the name of the corpus, for the report.
    Returns: Set -> its metrics.
    """

    def work(hparams: dict[str, Any], run_opts: Any) -> dict[str, Any]:
        report = Report(str(hparams.get(corpus_key, training.task)))
        data = on_main_first(read, hparams, report)
        return training(hparams, run_opts, data, report).run()

    return run_recipe(arguments, work)


def on_main_first(function: Callable[..., Result], *args: Any) -> Result:
    """Calls a function on the main process, then on the others; returns each one's own result.

    Within it processes do not wait for each other, not even in ``run_on_main``.
    """
    if not if_main_process():
        ddp_barrier()
    with MainProcessContext():
        result = function(*args)
    if if_main_process():
        ddp_barrier()
    return result


def write_report(report: Report, folder: Path) -> None:
    """Logs a report, and writes it to the output folder."""
    report.log()
    report.write(folder / "report.json")


def size_within_budget(
    hparams: Mapping[str, Any], make: Callable[[int], nn.Module]
) -> dict[str, int]:
    """``{"hidden_size": N}``, the largest that the budget of parameters allows.

    hparams: Optionally ``parameter_budget``: the maximum number of parameters of the model.
    make: Makes the model, given its ``hidden_size``.
    Returns: Empty without a budget.
    """
    budget = hparams.get("parameter_budget")
    if not budget:
        return {}
    size, count = size_for(make, int(budget))
    logger.info(f"hidden_size {size}: {count:,} of {int(budget):,} parameters")
    return {"hidden_size": size}
