"""Find the data sets and the heads in a config, however they are nested.

A :class:`ConfigView` is what all checks of a run look at: the config, walked once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Callable, Iterator, Mapping, Sequence

from mmengine import list_from_file
from mmengine.dataset import BaseDataset
from mmengine.registry import Registry

from mmseg_deeplab_ext.errors import ConfigError
from mmseg_deeplab_ext.registry import DATASETS, MODELS, SCOPE

SPLITS = ("train", "val", "test")


def leaf_datasets(dataset: Any) -> Iterator[Any]:
    """Yield the configs of the data sets that read files, inside wrappers nested at will.

    Wrappers (`ConcatDataset`, `RepeatDataset`, `ClassBalancedDataset`, `MultiImageMixDataset`,
    ...) hold what they wrap under ``dataset`` or ``datasets``.
    """
    inner = dataset.get("datasets", dataset.get("dataset"))
    if inner is None:
        yield dataset
        return
    for part in inner if isinstance(inner, (list, tuple)) else [inner]:
        yield from leaf_datasets(part)


def dataset_class(leaf: Mapping[str, Any]) -> type:
    """Look a data set's class up, whether the config has its name or, lazily, the class."""
    kind = leaf.get("type")
    if kind is None:
        raise ConfigError(f"a data set with the keys {', '.join(leaf)} has no `type`.")
    found = DATASETS.get(kind) if isinstance(kind, str) else kind
    if found is None:
        raise ConfigError(
            f"data set type {kind!r} is in no registry. Is the name right, and is the module that "
            "registers it named in custom_imports?"
        )
    return found


def class_in(source: Registry, part: Any) -> Callable[..., Any] | None:
    """The class of a part; None where it names none, or one that does not exist."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if not isinstance(kind, str):
        return kind
    with source.switch_scope_and_registry("mmseg") as registry:
        return registry.get(kind)


def our_model(part: Any) -> type | None:
    """The class that a part of a segmentor names, if it is one of ours."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    if isinstance(kind, str):
        kind = MODELS.get(kind) if kind.startswith(f"{SCOPE}.") else None
    return kind if getattr(kind, "__module__", "").startswith(f"{SCOPE}.") else None


def is_known(kind: Any) -> bool:
    """Whether a class is OpenMMLab's or ours: what another does can't be told from its config."""
    package = getattr(kind, "__module__", "").partition(".")[0]
    return package in ("mmcv", "mmengine", "mmseg", SCOPE)


def class_names(leaf: Mapping[str, Any]) -> Sequence[str] | None:
    """The classes of a data set: its ``metainfo``'s or its type's; None where neither has any."""
    declared = metainfo(leaf, "classes")
    if not isinstance(declared, str):
        return declared
    try:
        return list_from_file(declared)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"metainfo.classes={declared!r} is not a text file in UTF-8 with a class a line: "
            f"{error}. (The names themselves are a list.)"
        ) from error


def metainfo(leaf: Mapping[str, Any], key: str) -> Any:
    """What a data set's ``metainfo`` says, or else its type's; None where neither does."""
    declared = (leaf.get("metainfo") or {}).get(key)
    return getattr(dataset_class(leaf), "METAINFO", {}).get(key) if declared is None else declared


def pipeline_steps(pipeline: Any) -> Iterator[Any]:
    """Walk a pipeline's transforms, those inside others (`TestTimeAug`, ...) included."""
    if isinstance(pipeline, (list, tuple)):
        for step in pipeline:
            yield from pipeline_steps(step)
    elif isinstance(pipeline, Mapping):
        if "type" in pipeline:
            yield pipeline
        yield from pipeline_steps(pipeline.get("transforms"))


def step_name(step: Mapping[str, Any]) -> str:
    """A transform's class name without its scope."""
    kind = step["type"]
    return kind.rsplit(".", 1)[-1] if isinstance(kind, str) else kind.__name__


def heads_of(model: Mapping[str, Any], key: str = "model") -> list[tuple[str, Mapping[str, Any]]]:
    """The decode and auxiliary heads of a segmentor or of a wrapper (``module``) around one.

    Pairs: (key in the config, config of the head).
    """
    if "module" in model:
        return heads_of(model["module"], f"{key}.module")
    heads = []
    for name in ("decode_head", "auxiliary_head"):
        head = model.get(name)
        if isinstance(head, (list, tuple)):
            heads += [(f"{key}.{name}[{position}]", one) for position, one in enumerate(head)]
        elif head:
            heads.append((f"{key}.{name}", head))
    return heads


@dataclass(frozen=True)
class DatasetView:
    """A data set of a config that reads files."""

    split: str
    config: Mapping[str, Any]
    steps: tuple[Mapping[str, Any], ...]
    """Its pipeline's transforms, those inside others included."""

    def __str__(self) -> str:
        root = self.config.get("data_root")
        return self.kind.__name__ + (f" in {root}" if root else "")

    @cached_property
    def kind(self) -> type:
        """Its class; a ConfigError if no registry knows the name."""
        return dataset_class(self.config)

    @cached_property
    def classes(self) -> Sequence[str] | None:
        """The names of its classes; None where nothing says them."""
        return class_names(self.config)

    @cached_property
    def is_local(self) -> bool:
        """Whether it is one of MMEngine's, with its files on this machine's file systems."""
        backend = (self.config.get("backend_args") or {}).get("backend", "local")
        local = backend == "local" and "://" not in str(self.config.get("data_root") or "")
        return local and issubclass(self.kind, BaseDataset)

    @cached_property
    def needs_labels(self) -> bool:
        """Whether its pipeline loads label maps."""
        return any(step_name(step).endswith("LoadAnnotations") for step in self.steps)

    @cached_property
    def listing(self) -> Any:
        """It built to list its files: without its pipeline, which loads them."""
        config = {**self.config, "lazy_init": True, "serialize_data": False, "pipeline": []}
        dataset = DATASETS.build(config)
        dataset.full_init()
        return dataset

    @property
    def has_classes(self) -> bool:
        """Whether its config, its type or, once it has listed its files, it itself names some.

        True where it can't be built to be asked.
        """
        return bool(self.classes or not self.is_local or self.listing.metainfo.get("classes"))

    @property
    def samples(self) -> Sequence[Mapping[str, Any]]:
        """What its class lists, without loading any: the paths of images and label maps."""
        return self.listing.data_list


@dataclass(frozen=True)
class ConfigView:
    """What a run will use of a config: to look at, not to change, and no copy of it."""

    config: Mapping[str, Any]
    model: Mapping[str, Any]
    """The segmentor, without wrappers (``module``) around it; empty if there is none."""

    heads: tuple[tuple[str, Mapping[str, Any]], ...]
    """(key in the config, config) of the decode and auxiliary heads."""

    splits: tuple[str, ...]
    datasets: tuple[DatasetView, ...]
    """Those of the splits."""

    @classmethod
    def of(cls, cfg: Mapping[str, Any], *, splits: Sequence[str] = SPLITS) -> ConfigView:
        """Walk a config, or a part of one, for a run that uses some of the splits."""
        model = segmentor = cfg.get("model") or {}
        while "module" in segmentor:
            segmentor = segmentor["module"]
        datasets = []
        for split in splits:
            if split not in SPLITS:
                raise ConfigError(f"unknown split {split!r}; allowed are {', '.join(SPLITS)}.")
            loader = cfg.get(f"{split}_dataloader")
            if loader and "dataset" not in loader:
                raise ConfigError(f"{split}_dataloader has no `dataset`.")
            for leaf in leaf_datasets(loader["dataset"]) if loader else ():
                steps = tuple(pipeline_steps(leaf.get("pipeline")))
                datasets.append(DatasetView(split, leaf, steps))
        return cls(cfg, segmentor, tuple(heads_of(model)), tuple(splits), tuple(datasets))

    @property
    def ignore_index(self) -> int:
        """The label value of pixels that do not count, as the first head says it."""
        return next((head.get("ignore_index", 255) for _, head in self.heads), 255)
