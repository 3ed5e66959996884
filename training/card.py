"""The card: what an artefact is for, what it was made from and how well it does, in Markdown.

Training writes it into the artefact, an evaluation beside its report, both from figures of one kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from narratrace.model.artefact import Manifest, PromisedThresholds, ThresholdSet
from narratrace.model.taxonomy import STANCE_NAMES, Taxonomy
from narratrace.training.metrics import CONFIDENCE, HEADLINES, NOT_ADVANCING, SUPPORT, headline, shown

Figures = Mapping[str, Any]

_INTENDED = """\
It says which of {count} narratives a post *advances*, and whether the post advances, reports or counters them.

**For** triage and research: finding posts and campaigns that a person then reads; following narratives over time.

**Not for**

- deciding what is true: a label says what a text advances, never that it is false;
- attribution: a label says nothing about who wrote a post, or for whom;
- removing a post or an account on its word alone: it is no sole ground for that."""

_NETWORKS = {
    "all": "one more training, on all posts",
    "folds": "the mean of the weights of the cross-validation's networks",
}
"""Where the network that ships comes from, by how it was asked for."""


def render_card(
    manifest: Manifest,
    taxonomy: Taxonomy,
    sets: Mapping[str, Figures],
    *,
    thresholds: ThresholdSet = "f1",
    leakage: Mapping[str, Figures] | None = None,
    environment: Mapping[str, Any] | None = None,
) -> str:
    """Render the card of an artefact.

    Parameters
    ----------
    manifest
        Of the artefact; its id and files are not shown, as the card is among the files.
    taxonomy
        The narratives.
    sets
        For each set of posts ``rows``, what :func:`~narratrace.training.metrics.measure` gave of the artefact and,
        after it, of baselines; ``languages``, the artefact's by language; and if there are any ``flips`` by change,
        and ``tied``, the number of posts with a related post among those that were learnt from.
    thresholds
        Those that labels were measured at.
    leakage
        Figures of a baseline with related posts kept together and apart, by what to call each; None leaves them out.
    environment
        What was measured on, as :func:`~narratrace.training.environment.describe_environment` says it; None leaves it
        out.
    """
    own = {name: next(iter(figures["rows"].values())) for name, figures in sets.items()}
    parts = [
        f"# {taxonomy.title}",
        "A narratrace artefact. " + _INTENDED.format(count=len(taxonomy.narratives)),
        "## Made from",
        *_made_from(manifest),
        "## Measured",
        *_measured(thresholds, sets),
        "### By language",
        "Posts, macro F1 (a dash: no narrative has enough positives), stance accuracy, and false flags on posts of "
        "each other stance.",
        *(_by_language(name, figures["languages"]) for name, figures in sets.items()),
        "### By narrative",
        "Precision / recall / F1, average precision, calibration error, and in brackets the posts that advance it.",
        _by_narrative(manifest.narratives, own),
        *_thresholds(manifest),
        *_flips(sets),
        *_leakage(leakage),
        "## Limits",
        "\n".join(f"- {limit}" for limit in _limits(manifest, sets, own)),
        *_hardware(environment),
    ]
    return "\n\n".join(parts) + "\n"


def _made_from(manifest: Manifest) -> Iterator[str]:
    facts = [f"Encoder: {manifest.base.name} ({manifest.base.licence or 'licence: see its page'})."]
    if learnt := manifest.learnt_from:
        yield learnt.description
        facts += [
            f"{learnt.posts} posts to learn from, {learnt.synthetic} of them synthetic.",
            f"Calibration and thresholds: {learnt.folds}-fold cross-validation over groups of related posts.",
        ]
        if learnt.final:
            facts.append(f"Network: {_NETWORKS[learnt.final]}.")
        if learnt.raised_by:
            facts.append(
                f"All thresholds were raised by {learnt.raised_by:g} after they were chosen, for a network that is "
                "surer than those that they were chosen for. No promise was tested at the raised ones."
            )
    if earlier := manifest.averaged_with:
        facts.append(
            f"Its weights are averaged with those of the earlier artefact `{earlier.id}`, at a share of "
            f"{earlier.share:.0%}; the posts which that one learnt from are not counted here."
        )
    facts += [
        f"Languages: {', '.join(manifest.languages)}. Posts in others get scores but no labels.",
        f"Reads {manifest.max_tokens} tokens at once; longer posts in overlapping windows.",
    ]
    yield "\n".join(f"- {fact}" for fact in facts)


def _measured(thresholds: ThresholdSet, sets: Mapping[str, Figures]) -> Iterator[str]:
    yield (
        f"At the thresholds `{thresholds}`, which were chosen on other posts than these"
        + (", but for those of the cross-validation" if "cross_validation" in sets else "")
        + "; settings may have been chosen by the figures. Macro averages are over narratives with at least "
        f"{SUPPORT} positives. A false flag is any label on a post that advances nothing. In brackets: "
        f"{CONFIDENCE:.0%} bootstrap intervals over groups of related posts."
    )
    for name, figures in sets.items():
        rows = figures["rows"]
        first = next(iter(rows.values()))
        tied = figures.get("tied")
        related = "" if tied is None else f", {tied} of them related to posts learnt from"
        yield f"**{_title(name)}**: {first['posts']} posts{related}; {first['counted']} narratives in the averages."
        yield _headlines(rows)


def _by_language(name: str, languages: Mapping[str, Figures]) -> str:
    return _table(
        [_title(name), "posts", "macro F1", "stance", *(f"{STANCE_NAMES[stance]}" for stance in NOT_ADVANCING)],
        [
            [
                language,
                str(measured["posts"]),
                shown(measured["macro_f1"]),
                shown(measured["stance_accuracy"]),
                *(shown(measured["false_flags"][stance], percent=True) for stance in NOT_ADVANCING),
            ]
            for language, measured in languages.items()
        ],
    )


def _by_narrative(narratives: Sequence[str], own: Mapping[str, Figures]) -> str:
    def cell(one: Figures) -> str:
        three = " / ".join(shown(one[key]) for key in ("precision", "recall", "f1"))
        return f"{three}, {shown(one['average_precision'])}, {shown(one['calibration_error'])} ({one['support']})"

    rows = [[name, *(cell(measured["narratives"][name]) for measured in own.values())] for name in narratives]
    return _table(["narrative", *map(_title, own)], rows)


def _thresholds(manifest: Manifest) -> Iterator[str]:
    yield "## Thresholds"
    yield (
        f"A post gets labels only where the probability of the stance *advances* is at least {manifest.advances:.2f}. "
        "Behind this gate a narrative is a label from its threshold on."
    )
    promised = manifest.promised
    if promised:
        yield (
            f"`f1`: the best F1. `precision`: precision at least {promised.precision:.2f} with confidence "
            f"{promised.confidence:.2f} for each threshold by itself, by Learn-then-Test (Angelopoulos et al. 2021) "
            "with one vote for each group of related held-out posts. *review*: these posts support none, and what "
            "the best F1 would label is left to a person. In brackets: the groups with a label there (or where the "
            "test ended), and the share of their labels that is right."
        )
    languages = manifest.languages if promised else ()
    yield _table(
        ["narrative", "f1", *languages],
        [
            [name, shown(manifest.thresholds[name].default), *(_promise(promised, name, one) for one in languages)]
            for name in manifest.narratives
        ],
    )


def _promise(promised: PromisedThresholds | None, narrative: str, language: str) -> str:
    one = promised.narratives[narrative].get(language) if promised else None
    if one is None:
        return "review"
    return f"{'review' if one.threshold is None else f'{one.threshold:g}'} ({one.groups}; {shown(one.precision)})"


def _flips(sets: Mapping[str, Figures]) -> Iterator[str]:
    changed = {name: figures["flips"] for name, figures in sets.items() if figures.get("flips")}
    if not changed:
        return
    yield "## When only the form changes"
    yield "Share of the posts that a change alters whose labels / stance change with it; neither should."

    def cell(flips: Mapping[str, Any], what: str) -> str:
        return " / ".join(shown(flips[what][which], percent=True) for which in ("labels", "stance"))

    whats = dict.fromkeys(what for flips in changed.values() for what in flips)
    rows = [[what, *(cell(flips, what) for flips in changed.values())] for what in whats]
    yield _table(["", *map(_title, changed)], rows)


def _leakage(leakage: Mapping[str, Figures] | None) -> Iterator[str]:
    if not leakage:
        return
    yield "## What related posts would pretend"
    yield (
        "TF-IDF in cross-validation on the posts learnt from, once with related posts kept together and once dealt at "
        "random, as accounts and copies leak from one part into the other:"
    )
    yield _headlines(leakage)


def _limits(manifest: Manifest, sets: Mapping[str, Figures], own: Mapping[str, Figures]) -> Iterator[str]:
    yield "Its narratives are of one campaign. The same words in another dispute may be labelled wrongly."
    yield (
        "Scores are probabilities on posts like those it was calibrated on, of which many advance a narrative. In an "
        "archive where few do, they are too high, and fewer of the labels are right."
    )
    if manifest.learnt_from:
        yield (
            "Calibration, thresholds and what they promise were fitted on the networks of the cross-validation, each "
            "of which learnt from a part of the posts. The network that ships is another one: it is measured on the "
            "other sets alone, and no promise was tested on it."
        )
    yield "Labels agree with those who annotated, and inherit their mistakes."
    for name, measured in own.items():
        rare = [one for one, found in measured["narratives"].items() if found["support"] < SUPPORT]
        if rare:
            yield f"Too rare to measure in {_title(name)}: {', '.join(f'`{one}`' for one in rare)}."
    if promised := manifest.promised:
        cells = [one.threshold for languages in promised.narratives.values() for one in languages.values()]
        kept = sum(threshold is not None for threshold in cells)
        yield f"A precision is promised for {kept} of {len(cells)} narratives by language; the others are for review."
    for name, figures in sets.items():
        if tied := figures.get("tied"):
            share = tied / own[name]["posts"]
            yield (
                f"Of {_title(name)}, {share:.0%} of the posts are related to what it learnt from (an account, a group, "
                "a copy or near-copy): on other accounts it does less well."
            )


def _hardware(environment: Mapping[str, Any] | None) -> Iterator[str]:
    if not environment:
        return
    yield "## Measured on"
    packages = ("narratrace", "onnxruntime", "torch", "scikit-learn")
    versions = ", ".join(f"{one} {environment['packages'][one]}" for one in packages)
    gpus = ", ".join(environment["gpus"]) or "none"
    yield (
        f"{environment['processor']}, {environment['cores']} cores; GPU: {gpus}; Python {environment['python']}; "
        f"{versions}."
    )


def _headlines(rows: Mapping[str, Figures]) -> str:
    """A line for each figure, as in the report: with their intervals they are too wide for a column each."""
    return _table(
        ["", *rows],
        [[what, *(headline(measured, key) for measured in rows.values())] for key, what in HEADLINES.items()],
    )


def _title(name: str) -> str:
    return name.replace("_", " ").replace("|", "/")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])
