"""The taxonomy: its schema, the shipped file, writing and reading, and what a user is told about each mistake."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from narratrace.configs import CONFIGS
from narratrace.model.errors import SettingsError
from narratrace.model.taxonomy import STANCE_NAMES, STANCES, Taxonomy

DOCS = Path(__file__).resolve().parents[2] / "docs"

NARRATIVE_IDS = (
    "protesters_terrorists",
    "protesters_violent",
    "dehumanization",
    "foreign_forces",
    "manipulated_youth",
    "opponent_smear",
    "separatism",
    "police_heroes",
    "call_for_crackdown",
    "social_harm",
    "media_bias",
    "government_legitimacy",
    "national_unity",
)

SMALL: dict[str, Any] = {
    "id": "harbour_bridge",
    "version": "1",
    "title": "Harbour bridge",
    "description": "Narratives about a bridge.",
    "source": "Written for this test.",
    "languages": ["zh-Hant", "en"],
    "narratives": [
        {
            "id": "bridge_unsafe",
            "title": "Unsafe bridge",
            "definition": "The bridge is about to fall.",
            "include": ["The post says that the bridge is unsafe."],
            "exclude": ["A traffic report."],
            "examples": {"zh-Hant": ["橋快塌了！"], "en": ["It will fall: mark my words. #bridge"]},
            "counter_examples": [
                {"text": "The bridge is closed on Sunday.", "language": "en", "stance": "R", "why": "A traffic report."}
            ],
        },
        {
            "id": "bridge_bribes",
            "title": "Bribes",
            "titles": {"zh-Hant": "賄賂"},
            "definition": "The builders bribed the mayor.",
            "include": ["The post says or implies bribes."],
            "exclude": ["News of a trial."],
            "examples": {"zh-Hant": ["市長收了多少？ 💰"], "en": ["- Who paid?\n- Guess who."]},
        },
    ],
}

Edit = Callable[[dict[str, Any]], object]


def write(path: Path, edit: Edit = lambda raw: None) -> Path:
    raw = copy.deepcopy(SMALL)
    edit(raw)
    path.write_text(yaml.safe_dump(raw, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


def told(path: Path) -> str:
    """The message for a file with a mistake: one line that names the file."""
    with pytest.raises(SettingsError) as caught:
        Taxonomy.load(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    assert message.endswith(".")
    assert "pydantic" not in message
    return message


def test_shipped_taxonomy_has_the_narratives_in_the_codebooks_order() -> None:
    assert Taxonomy.load("hong_kong_2019").narrative_ids == NARRATIVE_IDS


@pytest.mark.parametrize("path", sorted((CONFIGS / "taxonomy").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_taxonomies_are_complete(path: Path) -> None:
    taxonomy = Taxonomy.load(path.stem)
    assert taxonomy == Taxonomy.load(path)
    assert taxonomy.id == path.stem
    seen: set[str] = set()
    for narrative in taxonomy.narratives:
        assert set(narrative.examples) == set(taxonomy.languages)
        assert set(narrative.titles) == set(taxonomy.languages) - {"en"}
        assert narrative.counter_examples
        posts = [post for posts in narrative.examples.values() for post in posts]
        posts += [example.text for example in narrative.counter_examples]
        assert len(set(posts)) == len(posts)
        assert seen.isdisjoint(posts)
        seen.update(posts)
        # A '#' after a space begins a YAML comment and would silently cut a rule short.
        assert all(
            rule.endswith((".", "。")) for rule in (narrative.definition, *narrative.include, *narrative.exclude)
        )


def test_hong_kong_counter_examples_cover_reports_counters_and_unrelated_posts() -> None:
    for narrative in Taxonomy.load("hong_kong_2019").narratives:
        assert {"R", "C", "N"} <= {example.stance for example in narrative.counter_examples}, narrative.id


def test_the_documentation_lists_the_narratives_as_shipped() -> None:
    text = (DOCS / "taxonomy.md").read_text(encoding="utf-8")
    listed = [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in text.splitlines() if line[:3] == "| `"]
    shipped = [(f"`{narrative.id}`", narrative.title) for narrative in Taxonomy.load("hong_kong_2019").narratives]
    assert [row for row in listed if row[0].strip("`") in NARRATIVE_IDS] == shipped


def test_the_documented_example_is_a_taxonomy(tmp_path: Path) -> None:
    text = (DOCS / "taxonomy.md").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(text.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    assert Taxonomy.load(tmp_path / "mine.yaml").narrative_ids == ("vaccine_microchips",)


def test_every_field_of_the_schema_is_described() -> None:
    schema = Taxonomy.model_json_schema()
    for model in (schema, *schema["$defs"].values()):
        assert model["additionalProperties"] is False
        for name, field in model["properties"].items():
            assert field.get("description"), name


def test_stances_are_named() -> None:
    assert tuple(STANCE_NAMES) == STANCES


@pytest.mark.parametrize("shipped", [True, False])
def test_dump_and_load_give_an_equal_taxonomy(tmp_path: Path, shipped: bool) -> None:
    taxonomy = Taxonomy.load("hong_kong_2019") if shipped else Taxonomy.load(write(tmp_path / "small.yaml"))
    taxonomy.dump(tmp_path / "copy.yaml")
    assert Taxonomy.load(tmp_path / "copy.yaml") == taxonomy
    assert Taxonomy.load(str(tmp_path / "copy.yaml")).narrative_ids == taxonomy.narrative_ids


@example(post="a\x85b\u2028c")
@given(post=st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(lambda text: text.strip()))
def test_any_post_survives_dump_and_load(tmp_path_factory: pytest.TempPathFactory, post: str) -> None:
    raw = copy.deepcopy(SMALL)
    raw["narratives"][0]["examples"]["en"] = [post]
    taxonomy = Taxonomy.model_validate(raw)
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    taxonomy.dump(path)
    assert Taxonomy.load(path) == taxonomy


def test_dumped_yaml_is_readable(tmp_path: Path) -> None:
    Taxonomy.load(write(tmp_path / "small.yaml")).dump(tmp_path / "copy.yaml")
    text = (tmp_path / "copy.yaml").read_text(encoding="utf-8")
    assert "市長收了多少？ 💰" in text
    assert text.index("bridge_unsafe") < text.index("bridge_bribes")
    assert "!!" not in text


def test_a_taxonomy_cannot_be_changed() -> None:
    taxonomy = Taxonomy.model_validate(SMALL)
    with pytest.raises(ValidationError, match="frozen"):
        taxonomy.title = "Another"  # type: ignore[misc]


def test_lookup_by_id() -> None:
    taxonomy = Taxonomy.model_validate(SMALL)
    assert taxonomy["bridge_bribes"].title == "Bribes"
    assert "bridge_bribes" in taxonomy
    assert "bribes" not in taxonomy


def test_unknown_narrative_names_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"no narrative 'police_hero'; the nearest is 'police_heroes'\.$"):
        Taxonomy.load("hong_kong_2019")["police_hero"]
    with pytest.raises(SettingsError, match="choose one of bridge_unsafe, bridge_bribes"):
        Taxonomy.model_validate(SMALL)["xyz"]


def test_unknown_shipped_taxonomy_names_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"'hongkong_2019' is shipped; the nearest is 'hong_kong_2019', or give"):
        Taxonomy.load("hongkong_2019")


def test_a_string_with_a_yaml_ending_is_a_path() -> None:
    with pytest.raises(SettingsError, match=r"Taxonomy nowhere\.yaml cannot be read: No such file"):
        Taxonomy.load("nowhere.yaml")


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        pytest.param(lambda raw: raw.pop("version"), "field 'version' is missing", id="missing field"),
        pytest.param(
            lambda raw: raw["narratives"][1].pop("exclude"),
            "narrative 'bridge_bribes', field 'exclude' is missing",
            id="missing rule list",
        ),
        pytest.param(
            lambda raw: raw["narratives"][0].update(exclude=[]),
            "narrative 'bridge_unsafe', field 'exclude' must not be empty",
            id="no rule",
        ),
        pytest.param(
            lambda raw: raw["narratives"][0].update(definition="  "),
            "narrative 'bridge_unsafe', field 'definition' must not be empty",
            id="blank definition",
        ),
        pytest.param(
            lambda raw: raw["narratives"][0].update(exlude=["A report."]),
            "narrative 'bridge_unsafe', field 'exlude' is not known; the nearest is 'exclude'",
            id="misspelt field",
        ),
        pytest.param(
            lambda raw: raw.update(langauges=["en"]),
            "field 'langauges' is not known; the nearest is 'languages'",
            id="misspelt top field",
        ),
        pytest.param(
            lambda raw: raw["narratives"][0].update(include="One rule."),
            "narrative 'bridge_unsafe', field 'include' must be a list",
            id="text for a list",
        ),
        pytest.param(
            lambda raw: raw.update(version=1), "field 'version' must be text; put it in quotes", id="not text"
        ),
        pytest.param(
            lambda raw: raw["narratives"][0]["include"].append({"Note": "a colon makes a mapping"}),
            "narrative 'bridge_unsafe', field 'include' (entry 2) must be text; put it in quotes",
            id="rule with a colon",
        ),
        pytest.param(lambda raw: raw.update(narratives=[]), "field 'narratives' must not be empty", id="no narrative"),
        pytest.param(
            lambda raw: raw["narratives"].append("bridge_old"),
            "narrative number 3 must be a mapping",
            id="narrative is text",
        ),
        pytest.param(
            lambda raw: raw["narratives"][0].update(id="Bridge-Unsafe"),
            "narrative 'Bridge-Unsafe', field 'id' is 'Bridge-Unsafe'; write it in snake_case",
            id="id not in snake_case",
        ),
        pytest.param(
            lambda raw: raw["narratives"][1].update(id="bridge_unsafe"),
            "narrative 'bridge_unsafe' is there twice",
            id="id twice",
        ),
        pytest.param(
            lambda raw: raw["narratives"][1].pop("id"), "narrative number 2, field 'id' is missing", id="no id"
        ),
        pytest.param(
            lambda raw: raw["narratives"][1]["examples"].pop("en"),
            "narrative 'bridge_bribes', field 'examples' has no post in en",
            id="no example in a language",
        ),
        pytest.param(
            lambda raw: raw["narratives"][1]["examples"].update(en=[]),
            "narrative 'bridge_bribes', field 'examples' (en) must not be empty",
            id="empty examples of a language",
        ),
        pytest.param(
            lambda raw: raw["narratives"][1]["examples"].update(yue=["條橋就冧喇"]),
            "narrative 'bridge_bribes', field 'examples' has the language 'yue', which is not among",
            id="language not listed",
        ),
        pytest.param(
            lambda raw: raw["narratives"][1]["examples"].update({"zh Hant": ["橋"]}),
            "narrative 'bridge_bribes', field 'examples' (zh Hant) has 'zh Hant', which is no language tag",
            id="no language tag",
        ),
        pytest.param(
            lambda raw: raw["narratives"][0]["counter_examples"][0].update(stance="X"),
            "narrative 'bridge_unsafe', counter-example number 1, field 'stance' is 'X'; write one of A, R, C, N",
            id="unknown stance",
        ),
        pytest.param(
            lambda raw: raw["narratives"][0]["counter_examples"][0].pop("why"),
            "narrative 'bridge_unsafe', counter-example number 1, field 'why' is missing",
            id="counter-example without reason",
        ),
    ],
)
def test_a_mistake_is_told_in_one_sentence_with_narrative_and_field(tmp_path: Path, edit: Edit, expected: str) -> None:
    assert expected in told(write(tmp_path / "mine.yaml", edit))


def test_further_mistakes_are_counted(tmp_path: Path) -> None:
    message = told(write(tmp_path / "mine.yaml", lambda raw: [raw.pop("version"), raw.pop("title"), raw.pop("source")]))
    assert "field 'version' is missing" in message
    assert "2 more mistakes" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"- a\n- b\n", "a list", id="list"),
        pytest.param(b"id: a\ntitle: [\n", "is not valid YAML: line 3", id="not YAML"),
        pytest.param(b"id: a\nid: b\n", "is not valid YAML: line 2: 'id' is given twice", id="key twice"),
        pytest.param("標題: 橋".encode("big5"), "is not UTF-8", id="other encoding"),
        pytest.param(b"!!python/object/apply:os.system ['true']\n", "is not valid YAML", id="code"),
        pytest.param(b"id: \x00\n", "is not valid YAML", id="control character"),
    ],
)
def test_a_file_that_is_no_taxonomy_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    assert expected in told(path)
