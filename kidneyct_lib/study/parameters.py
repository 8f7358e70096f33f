"""The schema of a study's parameters: load YAML, validate every key, say which is wrong and why."""

import ast
import difflib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from kidneyct_lib.core.errors import StudyError

Fraction = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Strength = Annotated[float, Field(ge=0, le=1)]
ComparedBackbone = Annotated[
    str, Field(pattern="^(resnet50|densenet121|efficientnetb0)-(imagenet|none)$")
]


class ParamsError(StudyError):
    """A parameter is unknown, missing or out of its range."""


class Strict(BaseModel):
    """A schema that knows all its keys and converts nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


_Schema = TypeVar("_Schema", bound=BaseModel)

_NAMES = ("classes", "class_folders", "must_not_miss", "expected_counts")
"""Keys that hold names of classes: text, whatever it looks like to YAML (0, No, 1e5)."""


class Params(Strict):
    """Every parameter of a study; flat, without defaults, so that a file tells the whole study."""

    study: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    source: Literal["phantom", "kaggle", "folder"]
    data: str | None = Field(description="folder of class sub-folders, or where a download goes")
    external: str | None = Field(description="folder of real external images, if any")
    masks: str | None = Field(description="folder of the lesions' masks, if any")
    run_folder: str
    cache_folder: str
    expected_minutes: Annotated[float, Field(gt=0)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    classes: Annotated[list[str], Field(min_length=2)]
    class_folders: dict[str, str] | None = Field(description="class of folders called otherwise")
    plane: Literal["axial", "coronal"] | None = Field(description="None: slices of every plane")
    expected_counts: dict[str, int] | None = Field(description="images per class, if known")
    published_accuracy: Fraction | None = Field(description="by slice, to stand beside")
    image_size: Annotated[int, Field(ge=32, le=1024)]
    phantom_patients: Count = Field(description="patients per class")
    phantom_slices: Annotated[list[Count], Field(min_length=2, max_length=2)]
    phantom_size: Annotated[int, Field(ge=64, le=512)]
    phantom_window_shift: Annotated[float, Field(ge=-100, le=100)]
    patients: Literal["auto", "known", "recovered"] = Field(description="which make the groups")
    thumbnail_size: Annotated[int, Field(ge=8, le=256)]
    group_threshold: Fraction
    group_thresholds: Annotated[list[Fraction], Field(min_length=1)]
    folds: Annotated[int, Field(ge=1, le=20, description="1: one split by the fractions below")]
    test_fraction: Fraction
    validation_fraction: Fraction
    recipe: Literal["published", "patient"]
    patient_image_size: Annotated[int, Field(ge=64, le=1024)]
    crop_size: Annotated[int, Field(ge=32, le=1024)]
    patient_c: Annotated[float, Field(gt=0, description="of its logistic regression")]
    segmentation_steps: Annotated[int, Field(ge=0, description="of each U-Net; 0: none")]
    backbone: Literal["resnet50"]
    weights: Literal["imagenet", "none"]
    head_units: Count
    dropout: Annotated[float, Field(ge=0, lt=1)]
    unfreeze_layers: Annotated[int, Field(ge=0)]
    feature_cache_gb: Annotated[float, Field(ge=0, description="most of each store")] | None
    class_weight: Literal["none", "slice", "group"]
    batch_size: Count
    stage1_epochs: Count
    stage1_learning_rate: Fraction
    stage1_patience: Count
    stage2_epochs: Count
    stage2_learning_rate: Fraction
    stage2_patience: Count
    stage2_precision: Literal["float32", "bfloat16"] = Field(description="of its gradients")
    augment_views: Annotated[int, Field(ge=0, description="of each image; 0: as published")]
    augment_geometry: Strength
    augment_intensity: Strength
    augment_noise: Strength
    external_images: Count = Field(description="most test images per external condition")
    robustness_images: Count = Field(description="most test images per scheme and corruption")
    bootstrap: Annotated[int, Field(ge=100)]
    audit_folds: Annotated[int, Field(ge=2, le=20, description="where the study has one split")]
    audit_seeds: Count = Field(description="repeats of folds, random labels and fewer patients")
    buffer_slices: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    audit_c: Annotated[float, Field(gt=0, description="of the logistic regression")]
    ablation_slices: Count | None = Field(description="most slices of a group; null: all")
    cv_repeats: Count = Field(description="repeats of cross-validation")
    compared_backbones: Annotated[list[ComparedBackbone], Field(min_length=1)]
    small_cnn_epochs: Annotated[int, Field(ge=0, description="0: no small CNN is trained")]
    calibration_bins: Annotated[int, Field(ge=2, le=100)]
    conformal_coverage: Fraction
    must_not_miss: Annotated[list[str], Field(min_length=1)]
    must_not_miss_recall: Annotated[float, Field(gt=0, le=1)]
    deployment_images: Count = Field(description="on which exported files are compared")
    deployment_formats: Annotated[list[Literal["onnx", "litert"]], Field(min_length=1)]
    deployment_threads: Annotated[list[Count], Field(min_length=1)]
    deployment_batches: Annotated[list[Count], Field(min_length=1)]
    ood_accepted: Fraction = Field(description="share of validation slices that are accepted")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.unfreeze_layers and self.recipe == "published":
            raise ValueError("unfreeze_layers = 0, but the published recipe's stage 2 needs some")
        if self.test_fraction + self.validation_fraction >= 1:
            raise ValueError("test_fraction + validation_fraction leave nothing to train on")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes names one class twice")
        for folder, name in (self.class_folders or {}).items():
            if name not in self.classes or folder in self.classes:
                raise ValueError(
                    f"class_folders says that {folder!r} holds the class {name!r}: the folder must "
                    "not bear a class's name, and the class must be one of the classes"
                )
        strangers = [name for name in self.must_not_miss if name not in self.classes]
        if strangers:
            raise ValueError(f"must_not_miss names {strangers[0]!r}, which is none of the classes")
        if self.expected_counts is not None and set(self.expected_counts) != set(self.classes):
            raise ValueError("expected_counts must name exactly the classes")
        if self.phantom_slices[0] > self.phantom_slices[1]:
            raise ValueError("phantom_slices is [fewest, most]")
        return self


def load(path: Path, **overrides: Any) -> Params:
    """Read and validate one study's YAML; overrides that are not None replace its keys.

    The patient recipe unfreezes nothing and is given slices at `patient_image_size`; a study
    without ImageNet weights compares untrained backbones alone.

    Raises
    ------
    ParamsError
        If the file is missing or not YAML, or a key is unknown, missing or out of range.
    """
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml"))) or "none"
        raise ParamsError(f"There is no study {path.stem!r} at {path}; known studies: {known}.")
    content = read_yaml(path)
    given = {key: value for key, value in overrides.items() if value is not None}
    content |= given
    if content.get("recipe") == "patient":
        content |= {"unfreeze_layers": 0, "image_size": content.get("patient_image_size")} | given
    compared = content.get("compared_backbones")
    if content.get("weights") == "none" and isinstance(compared, list):
        untrained = [str(name).replace("-imagenet", "-none") for name in compared]
        content["compared_backbones"] = list(dict.fromkeys(untrained))
    return validated(Params, content, str(path))


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the `key: value` lines of a YAML file, names of classes as text.

    Raises
    ------
    ParamsError
        If the file can't be read, is not YAML, gives a key twice or holds anything else.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ParamsError(f"{path} can't be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise ParamsError(f"{path} must hold `key: value` lines.")
    return content


class Loader(yaml.SafeLoader):
    """YAML in which names of classes are text, 1e-5 is a number, and each key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """Build a mapping, unless a key stands in it twice."""
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise yaml.YAMLError(
                    f"{key.value} is given twice, in lines {seen[key.value]} and {line}; keep one."
                )
            seen[key.value] = line
            for name in _class_names(key.value, value) if key.value in _NAMES else ():
                if isinstance(name, yaml.ScalarNode):
                    name.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep=deep)


Loader.add_implicit_resolver(  # YAML 1.1 wants a dot and a sign: 1.0e-5
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+"), "-+0123456789"
)


def _class_names(key: str, value: yaml.Node) -> list[yaml.Node]:
    """The nodes below one of `_NAMES` that are names: items, keys, of class_folders values too."""
    if isinstance(value, yaml.SequenceNode):
        return value.value
    pairs = value.value if isinstance(value, yaml.MappingNode) else []
    return [name for name, _ in pairs] + [name for _, name in pairs if key == "class_folders"]


def checked(namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the parameters out of a notebook's namespace and validate each of them.

    A notebook holds only the keys that it uses, so none is required here; its `parameters` cell is
    held equal to the files by a test. What papermill injects must be the name of a parameter.

    Raises
    ------
    ParamsError
        If a value is out of its range, or no parameter has that name.
    """
    for name in _injected(namespace.get("In", ())):
        if name not in Params.model_fields:
            raise ParamsError(f"a wrong parameter was given: {unknown(name, Params)}.")
    given = {key: namespace[key] for key in Params.model_fields if key in namespace}
    known: dict[str, Any] = {key: (f.annotation, f) for key, f in Params.model_fields.items()}
    subset = create_model("Subset", __base__=Strict, **{key: known[key] for key in given})
    return validated(subset, given, "the parameters cell").model_dump()


def _injected(cells: Sequence[str]) -> list[str]:
    """Names that papermill's cell of parameters gives values to, among the executed cells."""
    trees = [ast.parse(cell) for cell in cells if cell.startswith("# Parameters\n")]
    lines = [line for tree in trees for line in tree.body if isinstance(line, ast.Assign)]
    return [target.id for line in lines for target in line.targets if isinstance(target, ast.Name)]


def digest(parameters: Mapping[str, Any]) -> str:
    """sha256 (hex) of parameters in canonical JSON."""
    return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()


def validated(
    schema: type[_Schema],
    content: Mapping[str, Any],
    where: str,
    lines: Mapping[str, int] | None = None,
) -> _Schema:
    """Make an object of a schema.

    Parameters
    ----------
    schema
        A pydantic model.
    content
        Value of each key.
    where
        The file, for messages.
    lines
        Number of each key's line, for messages, where known.

    Raises
    ------
    ParamsError
        Telling each key that is unknown, missing or has a wrong value, and what is allowed.
    """
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        explained = [_explain(problem, schema, lines or {}) for problem in error.errors()]
        problems = "\n".join(f"  {problem}" for problem in explained)
        raise ParamsError(f"{where} has wrong parameters:\n{problems}") from None


def _explain(problem: Mapping[str, Any], schema: type[BaseModel], lines: Mapping[str, int]) -> str:
    """One line per problem: the key, its value, and what is allowed."""
    key = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if not key:
        return message
    line = lines.get(str(problem["loc"][0]))
    place = f"line {line}: " if line else ""
    if problem["type"] == "extra_forbidden":
        return place + unknown(key, schema)
    if problem["type"] == "missing":
        return f"{key}: missing"
    return f"{place}{key} = {problem['input']!r}: {message}"


def unknown(key: str, schema: type[BaseModel]) -> str:
    """Say that a schema has no such key, and which one may be meant."""
    near = difflib.get_close_matches(key, schema.model_fields, n=1)
    known = f"allowed: {', '.join(schema.model_fields)}"
    return f"{key}: unknown key; " + (f"did you mean {near[0]!r}?" if near else known)
