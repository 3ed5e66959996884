"""Fine-tuning of the whole encoder with its heads, on the Hugging Face Trainer."""

from __future__ import annotations

import random
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
import transformers
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments

from narratrace.model.network import Network, load_encoder
from narratrace.model.scores import Logits
from narratrace.model.taxonomy import STANCES, Taxonomy
from narratrace.model.text import normalise
from narratrace.model.tokenizer import PostTokenizer, pad
from narratrace.training.augmentation import Augmentation
from narratrace.training.frozen import LowerStates, restore_layers, upper_layers
from narratrace.training.labelled import LabelledPost, label_matrix, stance_indices
from narratrace.training.losses import JointLoss
from narratrace.training.settings import OptimiserSettings, TrainingSettings

_SAMPLE = 512
"""Posts that tell how the encoder's vectors are spread before training."""


def fine_tune(
    posts: Sequence[LabelledPost],
    taxonomy: Taxonomy,
    settings: TrainingSettings,
    on_step: Callable[[int, int], None] | None = None,
    states: tuple[LowerStates, Sequence[int]] | None = None,
) -> Network:
    """Fine-tune an encoder and its heads on labelled posts.

    Parameters
    ----------
    posts
        The posts to learn from.
    taxonomy
        The narratives.
    settings
        The run's settings.
    on_step
        Called after every step with the steps done and the steps to do in all.
    states
        With ``settings.optimiser.frozen_layers``: what these layers give, and each post's number in it.

    Returns
    -------
    Network
        The trained network, in evaluation mode.
    """
    torch.set_num_threads(settings.threads)
    transformers.set_seed(settings.seed)
    encoder = load_encoder(settings.base)
    _set_dropout(encoder, settings.loss.hidden_dropout)
    encoder.embeddings.requires_grad_(settings.optimiser.train_embeddings)
    network = Network(encoder, len(taxonomy.narratives), len(STANCES), settings.loss.dropout)
    labels = label_matrix(posts, taxonomy)
    tokenizer = PostTokenizer(settings.base / "tokenizer.json", settings.max_tokens)
    texts = [normalise(post.text).text for post in posts]
    network.eval().standardise(
        _batches(tokenizer, random.Random(settings.seed).sample(texts, min(len(texts), _SAMPLE)))
    )
    collator: _Collator | _StatesCollator = _Collator(tokenizer, settings)
    rows: Sequence[int] = range(len(posts))
    if states:
        collator, rows = _StatesCollator(states[0]), states[1]
        network.encoder = upper_layers(encoder, settings.optimiser.frozen_layers)
    examples = datasets.Dataset.from_dict(
        {
            "row": rows,
            "text": texts,
            "labels": labels.astype(np.float32),
            "stance": stance_indices(posts),
            "length": [len(ids) for ids in tokenizer.encode(texts)],
        }
    )
    average = WeightAverage(network, settings.optimiser.average) if settings.optimiser.average else None
    with tempfile.TemporaryDirectory() as scratch:
        trainer = _NetworkTrainer(
            model=network,
            args=_arguments(settings, Path(scratch)),
            train_dataset=examples,
            data_collator=collator,
            callbacks=[callback for callback in (average, _Steps(on_step) if on_step else None) if callback],
            loss=JointLoss(settings.loss, labels),
            optimiser=settings.optimiser,
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    if not average:
        network.encoder = encoder
        return network.cpu().eval()
    trained = average.network()
    if states:
        restore_layers(encoder, trained.encoder)
        trained.encoder = encoder
    return trained.cpu().eval()


@torch.inference_mode()
def infer(network: Network, tokenizer: PostTokenizer, texts: Sequence[str], batch_size: int = 32) -> Logits:
    """Logits of normalised posts, in full precision."""
    ids = tokenizer.encode(texts)
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    narratives = np.zeros((len(ids), network.narratives.out_features), dtype=np.float32)
    stances = np.zeros((len(ids), network.stances.out_features), dtype=np.float32)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        stacked, mask = pad([ids[row] for row in rows], tokenizer.pad_id)
        output = network(torch.from_numpy(stacked), torch.from_numpy(mask))
        narratives[rows] = output.narratives.numpy()
        stances[rows] = output.stances.numpy()
    return Logits(narratives, stances)


def _batches(tokenizer: PostTokenizer, texts: Sequence[str], size: int = 32) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(texts), size):
        part = texts[start : start + size]
        ids, mask = pad(tokenizer.encode(part), tokenizer.pad_id)
        yield torch.from_numpy(ids), torch.from_numpy(mask)


class WeightAverage(TrainerCallback):
    """Keeps an exponential moving average of the weights, which generalises better than the last step's.

    Source: Izmailov et al. 2018, "Averaging weights leads to wider optima and better generalization".
    """

    def __init__(self, network: Network, decay: float) -> None:
        self._average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))
        self._network = network

    def on_step_end(self, *_: Any, **__: Any) -> None:
        """Move the average towards the current weights."""
        self._average.update_parameters(self._network)

    def network(self) -> Network:
        """The network with the averaged weights."""
        averaged: Network = self._average.module
        return averaged


class _Steps(TrainerCallback):
    def __init__(self, on_step: Callable[[int, int], None]) -> None:
        self._on_step = on_step

    def on_step_end(self, _: Any, state: TrainerState, *__: Any, **___: Any) -> None:
        self._on_step(state.global_step, state.max_steps)


@dataclass(frozen=True)
class _Collator:
    """Changes, tokenises and pads the posts of a batch.

    Draws its randomness from torch's generator, which the Trainer saves and restores with a checkpoint.
    """

    tokenizer: PostTokenizer
    settings: TrainingSettings

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        rng = random.Random(int(torch.randint(2**31, (1,))))
        augment = Augmentation(self.settings.augmentation)
        texts = [augment(example["text"], rng) for example in examples]
        ids, mask = pad(self.tokenizer.encode(texts), self.tokenizer.pad_id)
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask), **_answers(examples)}


@dataclass(frozen=True)
class _StatesCollator:
    """Takes one variant of each post of a batch from what the frozen layers gave; random like :class:`_Collator`."""

    states: LowerStates

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Tensor]:
        variants = torch.randint(self.states.variants, (len(examples),)).tolist()
        vectors, mask = self.states.batch(variants, [example["row"] for example in examples])
        return {"input_ids": vectors, "attention_mask": mask, **_answers(examples)}


def _answers(examples: list[dict[str, Any]]) -> dict[str, Tensor]:
    return {
        "labels": torch.tensor([example["labels"] for example in examples]),
        "stance": torch.tensor([example["stance"] for example in examples]),
    }


class _NetworkTrainer(Trainer):
    def __init__(self, *, loss: JointLoss, optimiser: OptimiserSettings, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._loss = loss.to(self.args.device)
        self._optimiser = optimiser

    def compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], *_: Any, **__: Any) -> Tensor:
        output = model(inputs["input_ids"], inputs["attention_mask"])
        loss: Tensor = self._loss(output, inputs["labels"], inputs["stance"])
        return loss

    def create_optimizer(self, *_: Any, **__: Any) -> torch.optim.Optimizer:
        groups = list(parameter_groups(self.model, self._optimiser))
        self.optimizer = torch.optim.AdamW(groups, weight_decay=self._optimiser.weight_decay, fused=True)
        return self.optimizer


def parameter_groups(network: Network, settings: OptimiserSettings) -> Iterator[dict[str, Any]]:
    """Learning rates by depth: the heads' own, then falling from the encoder's last layer to its embeddings.

    Source: Howard and Ruder 2018, "Universal language model fine-tuning" (discriminative fine-tuning). Biases and
    layer norms are not decayed.
    """
    layers = network.encoder.config.num_hidden_layers
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        layer = re.search(r"\blayers?\.(\d+)\.", name)
        if not name.startswith("encoder."):
            rate = settings.head_learning_rate
        else:
            depth = layers - 1 - int(layer[1]) if layer else layers
            rate = settings.learning_rate * settings.layer_decay**depth
        group: dict[str, Any] = {"params": [parameter], "lr": rate}
        if parameter.ndim < 2:
            group["weight_decay"] = 0.0
        yield group


def _set_dropout(encoder: PreTrainedModel, probability: float) -> None:
    """Set dropout within the layers; attention has none, as drawing its random numbers is slow on a CPU."""
    for name, module in encoder.named_modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0 if "attention.self" in name else probability


def _arguments(settings: TrainingSettings, scratch: Path) -> TrainingArguments:
    gpu = torch.cuda.is_available()
    return TrainingArguments(
        output_dir=str(scratch),
        num_train_epochs=settings.optimiser.epochs,
        per_device_train_batch_size=settings.optimiser.batch_size,
        learning_rate=settings.optimiser.learning_rate,
        warmup_steps=settings.optimiser.warmup,
        lr_scheduler_type="linear",
        max_grad_norm=1.0,
        bf16=True,
        use_cpu=not gpu,
        train_sampling_strategy="group_by_length",
        length_column_name="length",
        remove_unused_columns=False,
        save_strategy="no",
        report_to="none",
        logging_strategy="no",
        disable_tqdm=True,
        seed=settings.seed,
        data_seed=settings.seed,
        dataloader_pin_memory=False,
    )
