"""The taxonomy: which narratives a campaign has, when a post advances one, and example posts, read from a YAML file."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import yaml
from pydantic import Field, StringConstraints, ValidationError, model_validator

from narratrace.configs import CONFIGS
from narratrace.model.errors import SettingsError
from narratrace.model.strict import StrictLoader, StrictModel

if TYPE_CHECKING:
    from collections.abc import Iterable

STANCES = ("A", "R", "C", "N")
"""The stances of a whole post towards the taxonomy's themes, in the order of every stance array."""

STANCE_NAMES = {"A": "advances", "R": "reports", "C": "counters", "N": "none"}
"""The word for each stance."""

_SHIPPED = CONFIGS / "taxonomy"

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_Texts = Annotated[tuple[_Text, ...], Field(min_length=1)]
_Id = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$")]
_Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]


class CounterExample(StrictModel):
    """A post that is easily taken for a narrative but does not advance it."""

    text: _Text = Field(description="The post.")
    language: _Language = Field(description="The language of the post, one of the taxonomy's languages.")
    stance: Literal["A", "R", "C", "N"] = Field(description="The stance of the post; A where it advances another one.")
    why: _Text = Field(description="Why the post is not labelled with this narrative.")


class Narrative(StrictModel):
    """One label of a taxonomy: a message that posts of a campaign advance."""

    id: _Id = Field(description="Name of the label in snake_case; names the output column score_<id>.")
    title: _Text = Field(description="Short title, shown in tables and reports.")
    titles: dict[_Language, _Text] = Field(default_factory=dict, description="The title in other languages.")
    definition: _Text = Field(description="What a post says or implies when it advances the narrative, in a sentence.")
    include: _Texts = Field(description="Rules: when the label is given.")
    exclude: _Texts = Field(description="Rules: when it is not given although it may look as if it should.")
    examples: dict[_Language, _Texts] = Field(description="Posts that advance the narrative, by language.")
    counter_examples: tuple[CounterExample, ...] = Field(
        default=(), description="Posts that look like the narrative but do not advance it, each with the reason."
    )


class Taxonomy(StrictModel):
    """The narratives of one campaign, in the order of every score array.

    Examples
    --------
    >>> taxonomy = Taxonomy.load("hong_kong_2019")
    >>> len(taxonomy.narratives)
    13
    >>> taxonomy["police_heroes"].title
    'Police as heroes'
    """

    id: _Id = Field(description="Name of the taxonomy in snake_case.")
    version: _Text = Field(description="Raised whenever a narrative or a rule changes, since labels then change too.")
    title: _Text = Field(description="Short title of the campaign.")
    description: _Text = Field(description="What the campaign was, and which posts the taxonomy is meant for.")
    source: _Text = Field(description="Where the definitions come from, and who wrote the examples.")
    languages: Annotated[tuple[_Language, ...], Field(min_length=1)] = Field(
        description="The languages of the posts; every narrative needs an example in each."
    )
    narratives: Annotated[tuple[Narrative, ...], Field(min_length=1)] = Field(description="The labels, in order.")

    @model_validator(mode="after")
    def _check_narratives(self) -> Self:
        """Check what one narrative alone cannot tell: unique ids, and the taxonomy's languages."""
        seen: set[str] = set()
        for narrative in self.narratives:
            if narrative.id in seen:
                raise ValueError(f"narrative '{narrative.id}' is there twice; give each narrative an id of its own")
            seen.add(narrative.id)
            missing = [language for language in self.languages if language not in narrative.examples]
            if missing:
                raise ValueError(
                    f"narrative '{narrative.id}', field 'examples' has no post in {', '.join(missing)}; "
                    "give at least one for each of the taxonomy's languages"
                )
            used: dict[str, Iterable[str]] = {
                "titles": narrative.titles,
                "examples": narrative.examples,
                "counter_examples": [example.language for example in narrative.counter_examples],
            }
            for field, languages in used.items():
                for language in languages:
                    if language not in self.languages:
                        raise ValueError(
                            f"narrative '{narrative.id}', field '{field}' has the language '{language}', which is not "
                            f"among the taxonomy's languages ({', '.join(self.languages)}); "
                            f"correct it or add it to 'languages'"
                        )
        return self

    @classmethod
    def load(cls, source: str | Path) -> Taxonomy:
        """Read and check a taxonomy.

        Parameters
        ----------
        source
            The id of a shipped taxonomy (``"hong_kong_2019"``), or the path of a YAML file. A string is a path when it
            ends in ``.yaml`` or ``.yml`` or has a folder in it.

        Returns
        -------
        Taxonomy
            The checked taxonomy.

        Raises
        ------
        SettingsError
            If there is no such taxonomy, or the file is no YAML or does not fit the schema; the message names the
            file, the narrative and the field.
        """
        path = Path(source)
        if isinstance(source, str) and path.name == source and path.suffix not in {".yaml", ".yml"}:
            path = _SHIPPED / f"{source}.yaml"
            if not path.is_file():
                known = tuple(sorted(file.stem for file in _SHIPPED.glob("*.yaml")))
                raise SettingsError(
                    f"No taxonomy '{source}' is shipped; {_nearest(source, known)}, or give the path of a YAML file."
                )
        try:
            raw = yaml.load(path.read_text(encoding="utf-8"), Loader=StrictLoader)
        except OSError as error:
            raise SettingsError(f"Taxonomy {path} cannot be read: {error.strerror or error}.") from error
        except UnicodeDecodeError as error:
            raise SettingsError(f"Taxonomy {path} is not UTF-8 text; save it as UTF-8.") from error
        except yaml.YAMLError as error:
            raise SettingsError(f"Taxonomy {path} is not valid YAML: {_yaml_mistake(error)}.") from error
        if not isinstance(raw, dict):
            raise SettingsError(f"Taxonomy {path} is empty or a list; write fields such as 'id: my_campaign'.")
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise SettingsError(f"Taxonomy {path}: {_mistake(error, raw)}.") from error

    def dump(self, path: str | Path) -> None:
        """Write the taxonomy as readable YAML in UTF-8, which `load` reads back to an equal taxonomy.

        Parameters
        ----------
        path
            The file to write; it is replaced if it exists. Comments of the file it was loaded from are not kept.
        """
        raw = self.model_dump(mode="json", exclude_defaults=True)
        text = yaml.dump(raw, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=120)
        Path(path).write_text(text, encoding="utf-8", newline="\n")

    @property
    def narrative_ids(self) -> tuple[str, ...]:
        """The ids of the narratives, in the order of every score array."""
        return tuple(narrative.id for narrative in self.narratives)

    def __getitem__(self, narrative_id: str) -> Narrative:
        """Return the narrative of an id.

        Raises
        ------
        SettingsError
            If the taxonomy has no such narrative; the message names the nearest id that it has.
        """
        for narrative in self.narratives:
            if narrative.id == narrative_id:
                return narrative
        raise SettingsError(
            f"Taxonomy '{self.id}' has no narrative '{narrative_id}'; {_nearest(narrative_id, self.narrative_ids)}."
        )

    def __contains__(self, narrative_id: object) -> bool:
        return narrative_id in self.narrative_ids


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, which also escapes the Unicode line ends that it would otherwise fold and lose."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = '"' if any(mark in data for mark in "\x85\u2028\u2029") else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Dumper.add_representer(str, _Dumper.represent_str)


def _nearest(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"the nearest is '{near[0]}'" if near else f"choose one of {', '.join(known)}"


def _yaml_mistake(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(error).split())


def _mistake(error: ValidationError, raw: dict[Any, Any]) -> str:
    """Say the first mistake of a taxonomy in one sentence, naming narrative and field."""
    first = error.errors()[0]
    where, model, loc = _place(first["loc"], raw)
    field = str(loc[-1]) if loc else ""
    match first["type"]:
        case "missing":
            what = "is missing; add it"
        case "extra_forbidden":
            what = f"is not known; {_nearest(field, tuple(model.model_fields))}"
        case "string_type":
            what = "must be text; put it in quotes"
        case "tuple_type":
            what = "must be a list; begin each entry with '- '"
        case "dict_type" | "model_type":
            what = "must be a mapping of 'name: value' lines"
        case "string_too_short" | "too_short":
            what = "must not be empty; give at least one"
        case "string_pattern_mismatch" if field == "id":
            what = f"is '{first['input']}'; write it in snake_case such as 'police_heroes'"
        case "string_pattern_mismatch":
            what = f"has '{first['input']}', which is no language tag; write one such as 'zh-Hans' or 'en'"
        case "literal_error":
            what = f"is '{first['input']}'; write one of {', '.join(STANCES)}"
        case _:
            what = str(first["msg"]).removeprefix("Value error, ")
    more = error.error_count() - 1
    also = f" ({more} more mistake{'s' * (more > 1)} in the file)" if more else ""
    return f"{where} {what}".strip() + also


def _place(loc: tuple[int | str, ...], raw: dict[Any, Any]) -> tuple[str, type[StrictModel], tuple[int | str, ...]]:
    """Name the narrative and the field of a mistake; return them with the model that has the field."""
    where: list[str] = []
    model: type[StrictModel] = Taxonomy
    loc = tuple(part for part in loc if part != "[key]")
    if len(loc) > 1 and loc[0] == "narratives":
        index = int(loc[1])
        narrative = raw["narratives"][index]
        name = narrative.get("id") if isinstance(narrative, dict) else None
        where.append(f"narrative '{name}'" if isinstance(name, str) else f"narrative number {index + 1}")
        model, loc = Narrative, loc[2:]
        if len(loc) > 1 and loc[0] == "counter_examples":
            where.append(f"counter-example number {int(loc[1]) + 1}")
            model, loc = CounterExample, loc[2:]
    if loc:
        parts = [f"entry {part + 1}" if isinstance(part, int) else str(part) for part in loc]
        where.append(f"field '{parts[0]}'" + "".join(f" ({part})" for part in parts[1:]))
    return ", ".join(where), model, loc
