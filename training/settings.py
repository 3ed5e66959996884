"""Settings of a training run; ``configs/training/*.yaml`` holds commented ones."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from narratrace.model.artefact import FinalNetwork, ThresholdSet
from narratrace.model.settings import Settings


class ColumnSettings(Settings):
    """Which column of the labelled posts holds what; a dot leads into a nested field, as in ``user.id``."""

    text: str = Field(default="text", description="The post as published.")
    labels: str | dict[str, str] = Field(
        default="labels",
        description="Narratives that the post advances: a list or a delimited string; or one column per narrative, as "
        "'narrative: column', with 1 or 0 in it and nothing where it is not known. A narrative without a column is "
        "not known for any post.",
    )
    delimiter: str = Field(default=";", min_length=1, description="What parts the labels of a delimited string.")
    none: tuple[str, ...] = Field(default=(), description="Labels that stand for no narrative, such as 'normal'.")
    unknown: str | None = Field(
        default="unknown", description="Narratives of which it is not known if the post advances them; * is all others."
    )
    stance: str | None = Field(default="stance", description="A, R, C or N; nothing where it is not known.")
    language: str | None = Field(default="lang", description="Language; told from the text where there is none.")
    account: str | None = Field(default="account_id", description="Who published the post.")
    group: tuple[str, ...] = Field(
        default=("group", "family"), description="Names that posts share which must stay in the same fold."
    )
    id: str | None = Field(default="id", description="The post's id.")
    rewritten_from: str | None = Field(default="from", description="Id of the post that this one was rewritten from.")
    source: str | None = Field(default="source", description="Where the post was collected; counted in reports.")


COLUMNS = ColumnSettings()
"""The columns of labelled posts as narratrace itself writes them."""


class DataSettings(Settings):
    """Which posts to learn from.

    Sources are ``.jsonl``, ``.csv``, ``.tsv`` or ``.parquet`` files, folders of Hugging Face data sets, or
    ``hf:ID[:SUBSET]``; ``#SPLIT`` at the end takes one split alone.
    """

    description: str = Field(description="What the posts are and who labelled them; for the artefact's card.")
    columns: ColumnSettings = Field(default=COLUMNS, description="Which column holds what.")
    train: tuple[str, ...] = Field(min_length=1, description="Sources of labelled posts to learn from.")
    synthetic: tuple[str, ...] = Field(
        default=(),
        description="More posts to learn from that never count in thresholds or figures, such as rewritten ones.",
    )
    dev: dict[str, str] = Field(
        default_factory=dict, description="Named sources of posts that are only measured on, never learnt from."
    )
    languages: tuple[Literal["zh-Hans", "zh-Hant", "yue", "en", "mixed", "other", "und"], ...] = Field(
        min_length=1, description="Languages that the artefact answers for; posts in others get no labels."
    )


class AugmentationSettings(Settings):
    """How often a post is changed, at random and anew each time, before the model sees it."""

    strip_punctuation: float = Field(ge=0, le=1, description="Probability of losing punctuation and symbols.")
    strip_digits: float = Field(ge=0, le=1, description="Probability of losing its digits.")
    lower_case: float = Field(ge=0, le=1, description="Probability of losing its capital letters.")
    add_tags: float = Field(
        default=0.0, ge=0, le=1, description="Probability of one to three more tags: of the campaign, common or random."
    )
    drop_tags: float = Field(
        default=0.0, ge=0, le=1, description="Probability of losing the known tags at its beginning and end."
    )
    tags: tuple[str, ...] = Field(
        default=(),
        description="Tags of the campaign that all sides use, without their mark; not slogans, which say the stance.",
    )
    add_emoji: float = Field(default=0.0, ge=0, le=1, description="Probability of one to three more emoji.")
    typos: float = Field(
        default=0.0, ge=0, le=1, description="Probability of typos: up to one for 20 letters, none in a negation."
    )
    homoglyphs: float = Field(
        default=0.0, ge=0, le=1, description="Probability of a few Latin letters replaced by Cyrillic ones alike."
    )


class OptimiserSettings(Settings):
    """How the weights move."""

    epochs: float = Field(gt=0, description="Passes over the posts.")
    batch_size: int = Field(gt=0, description="Posts per step.")
    learning_rate: float = Field(gt=0, description="Peak rate of the encoder's last layer.")
    head_learning_rate: float = Field(gt=0, description="Peak rate of the heads, which start from nothing.")
    layer_decay: float = Field(gt=0, le=1, description="Each layer down learns this much slower than the one above it.")
    train_embeddings: bool = Field(
        description="Whether word embeddings learn too; frozen ones keep rare words in place."
    )
    frozen_layers: int = Field(
        default=0,
        ge=0,
        description="Layers, from the bottom, that do not learn; what they give is computed once, which saves time.",
    )
    variants: int = Field(
        default=4,
        gt=0,
        description="With frozen layers: how many changed variants of each post are prepared; epochs draw of them.",
    )
    warmup: float = Field(ge=0, lt=1, description="Share of the steps in which the rate rises.")
    weight_decay: float = Field(ge=0, description="AdamW's weight decay.")
    accumulate: int = Field(
        default=1,
        gt=0,
        description="Parts in which the posts of a step are handled, one after another, to save memory.",
    )
    gradient_checkpointing: bool = Field(
        default=False,
        description="Whether to compute layers anew on the way back instead of keeping them: less memory.",
    )
    mixed_precision: bool = Field(
        default=True, description="Whether to compute in bfloat16 where it does no harm (float16 on older GPUs)."
    )
    average: float = Field(
        ge=0, lt=1, description="Decay of the moving average of the weights that is kept at the end; 0: none is kept."
    )

    @model_validator(mode="after")
    def _steps_have_equal_parts(self) -> OptimiserSettings:
        if self.batch_size % self.accumulate:
            raise ValueError(f"accumulate must divide batch_size ({self.batch_size}) into equal parts")
        return self

    @model_validator(mode="after")
    def _frozen_layers_lie_on_frozen_embeddings(self) -> OptimiserSettings:
        if self.frozen_layers and self.train_embeddings:
            raise ValueError("frozen_layers need train_embeddings: false, since they lie on the embeddings")
        return self


class LossSettings(Settings):
    """What is asked of the network: narratives and stances, together or one of them alone."""

    narratives: float = Field(
        default=1.0, ge=0, description="Weight of the narratives' binary cross-entropy; 0: the stance is learnt alone."
    )
    stance: float = Field(
        ge=0, description="Weight of the stance's cross-entropy beside it; 0: the narratives are learnt alone."
    )
    positive_weight_power: float = Field(
        ge=0, le=1, description="Positives of a rare narrative weigh (negatives / positives) to this power."
    )
    positive_weight_limit: float = Field(ge=1, description="... but at most this much.")
    dropout: float = Field(ge=0, lt=1, description="Dropout before the heads.")
    hidden_dropout: float = Field(ge=0, lt=1, description="Dropout within the encoder's layers (attention has none).")

    @model_validator(mode="after")
    def _something_is_learnt(self) -> LossSettings:
        if not self.narratives and not self.stance:
            raise ValueError("narratives and stance are both 0, so that nothing is learnt: give one of them a weight")
        return self


class WideSettings(Settings):
    """The linear model on character n-grams beside the encoder."""

    min_posts: int = Field(gt=0, description="An n-gram counts from so many posts.")
    inverse_penalty: float = Field(gt=0, description="scikit-learn's C: the greater, the closer to the posts.")


class PairSettings(Settings):
    """Pairs of texts of which it is known whether they say the same."""

    source: str = Field(description="A file, folder or data set, as for labelled posts.")
    one: str = Field(description="Column of the first text.")
    other: str = Field(description="Column of the second text, such as a translation.")
    verdict: str | None = Field(default=None, description="Column that says whether both say the same; null: all do.")
    same: tuple[str, ...] = Field(default=("1",), description="Values of the verdict for the same message.")
    different: tuple[str, ...] = Field(
        default=("0",), description="Values for another message. Other rows are left out."
    )
    limit: int = Field(default=2000, gt=0, description="Pairs that are drawn, half of them different if there are any.")


class FamilySettings(Settings):
    """Texts in families: all of a family say the same, but for those made to be mistaken for it."""

    source: str = Field(description="A file, folder or data set, as for labelled posts.")
    text: str = Field(default="text", description="Column of the text.")
    family: str = Field(default="family", description="Column of the family's name.")
    kind: str = Field(default="kind", description="Column that says what a text is in its family.")
    different: tuple[str, ...] = Field(default=("distractor",), description="Kinds that say something else.")


class EmbeddingSettings(Settings):
    """What the sentence embedding learns from: texts that say the same, and texts that only look as if they did."""

    own_layers: int = Field(
        default=0,
        ge=0,
        description="Upper layers that the embedding has for itself, beginning as a copy of the encoder's; the layers "
        "below are shared with the labels and stay as they are. 0: a projection alone.",
    )
    dimension: int = Field(gt=0, description="Length of an embedding.")
    begin_with: Path | None = Field(
        default=None,
        description="An artefact whose embedder learns on; null: begin with a copy of the encoder's upper layers.",
    )
    max_tokens: int = Field(default=96, gt=2, description="Longer texts are cut for this training.")
    pairs: tuple[PairSettings, ...] = Field(default=(), description="Files of pairs.")
    families: tuple[FamilySettings, ...] = Field(default=(), description="Files of families.")
    rewritten: bool = Field(
        description="Whether posts of the labelled data pair with the posts they were rewritten from."
    )
    posts: str | None = Field(
        default=None, description="Posts without labels; each pairs with a changed copy of itself."
    )
    limit: int = Field(default=4000, gt=0, description="Posts that are drawn of these.")
    neighbours: int = Field(
        default=0,
        ge=0,
        description="Other posts on the same matter that count as different from each of these: so many in its own "
        "script and as many in others.",
    )
    epochs: int = Field(gt=0, description="Passes over the messages.")
    batch_size: int = Field(gt=1, description="Texts per step, about; those of other messages count as different.")
    learning_rate: float = Field(gt=0, description="Peak rate of the embedding's own layers.")
    projection_rate: float = Field(default=5e-4, gt=0, description="Peak rate of the projection.")
    temperature: float = Field(
        gt=0, description="Cosines are divided by this; the smaller, the more the hardest count."
    )


class ThresholdSettings(Settings):
    """How thresholds and calibration are fitted."""

    folds: int = Field(ge=2, description="Cross-validation folds; related posts share a fold.")
    smoothing: float = Field(
        ge=0, description="Pseudo-posts that pull a narrative's threshold to the common one; rare narratives move most."
    )
    raise_by: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Added to all thresholds after they are chosen: the mean of several networks is surer of its "
        "labels than each of them, for which they were chosen.",
    )
    false_flags: dict[Literal["R", "C", "N"], float] = Field(
        description="Greatest share of held-out posts of each stance that may get a label; labels then ask for a "
        "higher probability of the stance 'advances'."
    )
    precision: float = Field(
        default=0.9, gt=0, lt=1, description="Precision that the second set of thresholds promises."
    )
    confidence: float = Field(
        default=0.9, gt=0, lt=1, description="Probability with which each of these thresholds keeps its promise."
    )
    default: ThresholdSet = Field(
        default="f1", description="Which set decides unless another is asked for: f1 or precision."
    )


class EarlyStoppingSettings(Settings):
    """When a training ends before its last epoch; the weights of its best epoch are kept."""

    patience: int = Field(gt=0, description="Epochs in a row that may pass without a better macro-F1.")
    share: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="Share of a training's posts, whole groups of related ones, that is watched and not learnt from.",
    )
    dev: str | None = Field(
        default=None,
        description="A dev set's name: watch it in place of a share. Figures on it are then better than elsewhere.",
    )


class SoupSettings(Settings):
    """An earlier artefact whose weights are averaged with those of the final network, after all trainings."""

    artefact: Path = Field(description="Folder of an artefact with the same base and narratives.")
    share: float = Field(gt=0, lt=1, description="Its part of the mean.")


class TrainingSettings(Settings):
    """A whole training run."""

    taxonomy: str = Field(description="Id of a shipped taxonomy, or the path of a YAML file.")
    base: Path = Field(
        description="Encoder to start from: 'builtin' (the built-in artefact's), a folder of 'narratrace base build', "
        "an artefact, any folder of an encoder, or an id on the Hugging Face hub."
    )
    max_tokens: int = Field(
        gt=2, le=512, description="Tokens that are read at once: training cuts here, inference goes on in windows."
    )
    seed: int = Field(ge=0, description="Seed of everything random.")
    threads: int = Field(gt=0, description="CPU threads of one training; one is fastest on few, busy cores.")
    data: DataSettings
    augmentation: AugmentationSettings
    optimiser: OptimiserSettings
    loss: LossSettings
    wide: WideSettings
    thresholds: ThresholdSettings
    final: FinalNetwork = Field(
        default="all",
        description="The network that ships: one more training, on all posts, or the mean of the folds' networks.",
    )
    soup: SoupSettings | None = Field(
        default=None, description="Average the final network's weights with an earlier artefact's; null: do not."
    )
    embedding: EmbeddingSettings | None = Field(
        default=None, description="How the sentence embedding is trained; null: it is the pooled vector as it is."
    )
    early_stopping: EarlyStoppingSettings | None = Field(
        default=None, description="When a training ends early; null: never."
    )
    checkpoint_minutes: float = Field(
        default=10.0, ge=0, description="Minutes of training that a power cut may cost; 0: none, which is slow."
    )
    full_precision: bool = Field(description="Whether the artefact also holds the graph of the backend 'onnx'.")
