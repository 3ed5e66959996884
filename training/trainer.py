"""Fine-tuning of the encoder with its heads, on the Hugging Face Trainer."""

from __future__ import annotations

import math
import random
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from torch.utils.data import Sampler
from torch.utils.tensorboard import SummaryWriter
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainerCallback, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback

from narratrace.model.batching import by_length, equal_batches, padded_batches
from narratrace.model.errors import StoppedError
from narratrace.model.network import Network, load_encoder, upper_layers
from narratrace.model.scores import Logits
from narratrace.model.taxonomy import STANCES, Taxonomy
from narratrace.model.text import normalise
from narratrace.model.tokenizer import PostTokenizer
from narratrace.training.augmentation import Augmentation
from narratrace.training.averaging import WeightAverage
from narratrace.training.batches import EpochSampler, Examples, StatesCollator, TextCollator
from narratrace.training.checkpoints import Checkpoints, Kept
from narratrace.training.early_stopping import EarlyStopping
from narratrace.training.epochs import MACRO_F1, STANCE_ACCURACY, EpochLog, watched_figures
from narratrace.training.frozen import LowerStates, restore_layers
from narratrace.training.labelled import LabelledPost, known_matrix, label_matrix, stance_indices
from narratrace.training.losses import JointLoss, label_targets
from narratrace.training.precision import has_bfloat16
from narratrace.training.settings import OptimiserSettings, TrainingSettings

EPOCHS = "epochs.jsonl"
"""File of one line per epoch in a training's folder."""

_SAMPLE = 512
"""Posts that tell how the encoder's vectors are spread before training."""

_STEPS_PER_LOG = 10


class Step(NamedTuple):
    """How far a training is."""

    done: int
    """Steps done."""
    total: int
    """Steps to do in all."""
    loss: float = math.nan
    """Mean loss of the last batches."""


def fine_tune(
    posts: Sequence[LabelledPost],
    taxonomy: Taxonomy,
    settings: TrainingSettings,
    folder: Path,
    *,
    watched: Sequence[LabelledPost] = (),
    states: tuple[LowerStates, Sequence[int]] | None = None,
    on_step: Callable[[Step], None] | None = None,
    asked_to_stop: Callable[[], bool] = lambda: False,
) -> Network:
    """Fine-tune an encoder and its heads on labelled posts.

    A training that was cut off goes on from its last checkpoint in ``folder`` and gives what it would have given.

    Parameters
    ----------
    posts
        The posts to learn from.
    taxonomy
        The narratives.
    settings
        The run's settings.
    folder
        Where checkpoints, :data:`EPOCHS` and TensorBoard's events go.
    watched
        Posts that are not learnt from; measured after every epoch. With ``settings.early_stopping`` they decide when
        the training ends, and which epoch's weights are kept.
    states
        With ``settings.optimiser.frozen_layers``: what these layers give, and each post's number in it.
    on_step
        Called after every step.
    asked_to_stop
        Asked after every step: whether to leave a checkpoint and stop.

    Returns
    -------
    Network
        The trained network, in evaluation mode.

    Raises
    ------
    StoppedError
        It was asked to stop; the next call goes on.
    """
    torch.set_num_threads(settings.threads)
    transformers.set_seed(settings.seed)
    encoder = load_encoder(settings.base)
    _set_dropout(encoder, settings.loss.hidden_dropout)
    encoder.embeddings.requires_grad_(settings.optimiser.train_embeddings)
    network = Network(encoder, len(taxonomy.narratives), len(STANCES), settings.loss.dropout)
    tokenizer = PostTokenizer(settings.base / "tokenizer.json", settings.max_tokens)
    texts = [normalise(post.text).text for post in posts]
    network.eval().standardise(
        _batches(tokenizer, random.Random(settings.seed).sample(texts, min(len(texts), _SAMPLE)))
    )
    if states:
        network.encoder = upper_layers(encoder, settings.optimiser.frozen_layers)
    if settings.optimiser.gradient_checkpointing:
        network.encoder.gradient_checkpointing_enable({"use_reentrant": False})

    targets = label_targets(label_matrix(posts, taxonomy), known_matrix(posts, taxonomy))
    rows = states[1] if states else range(len(posts))
    examples = Examples(
        [
            {"row": row, "text": text, "targets": target, "stance": stance}
            for row, text, target, stance in zip(rows, texts, targets, stance_indices(posts).tolist(), strict=True)
        ],
        [len(ids) for ids in tokenizer.encode(texts)],
    )
    arguments = _arguments(settings, folder)
    sampler = EpochSampler(examples.lengths, settings.optimiser.batch_size, settings.seed)
    decay = settings.optimiser.average
    average = WeightAverage(network, decay, arguments.device) if decay else None
    learnt = average.network() if average else network

    def watch() -> dict[str, float]:
        whole = _whole(learnt, encoder)
        half = torch.float16 if arguments.fp16 else torch.bfloat16
        with torch.autocast(arguments.device.type, half, enabled=arguments.bf16 or arguments.fp16):
            logits = infer(whole.eval(), tokenizer, [normalise(post.text).text for post in watched])
        return watched_figures(logits, watched, taxonomy)

    log = EpochLog(
        folder / EPOCHS,
        math.ceil(
            math.ceil(len(examples) / arguments.per_device_train_batch_size) / arguments.gradient_accumulation_steps
        ),
        watch if watched else None,
    )
    trainer = _NetworkTrainer(
        model=network,
        args=arguments,
        train_dataset=examples,
        data_collator=(
            StatesCollator(sampler, states[0])
            if states
            else TextCollator(sampler, tokenizer, Augmentation(settings.augmentation))
        ),
        loss=JointLoss(settings.loss, targets),
        optimiser=settings.optimiser,
        sampler=sampler,
        log=log,
    )
    trainer.remove_callback(PrinterCallback)
    # In this order: what a checkpoint holds must be up to date when it is written.
    stopping = None
    kept: list[Kept] = [log]
    if average:
        trainer.add_callback(average)
        kept.append(average)
    trainer.add_callback(log)
    if settings.early_stopping:
        stopping = EarlyStopping(
            log, learnt, settings.early_stopping.patience, MACRO_F1 if settings.loss.narratives else STANCE_ACCURACY
        )
        trainer.add_callback(stopping)
        kept.append(stopping)
    checkpoints = Checkpoints(folder, settings.checkpoint_minutes, kept, asked_to_stop)
    trainer.add_callback(checkpoints)
    trainer.add_callback(TensorBoardCallback(SummaryWriter(str(folder))))
    if on_step:
        trainer.add_callback(_Steps(on_step, log))
    checkpoint = checkpoints.resume()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if checkpoints.stopped:
        raise StoppedError(f"Stopped; a checkpoint is in {folder}. The same command goes on from there.")
    if stopping:
        stopping.restore()
    for leftover in checkpoints.all():
        shutil.rmtree(leftover)
    return _whole(learnt, encoder).cpu().eval()


@torch.inference_mode()
def infer(network: Network, tokenizer: PostTokenizer, texts: Sequence[str], batch_size: int = 32) -> Logits:
    """Logits of normalised posts, on the device that the network is on."""
    ids = tokenizer.encode(texts)
    narratives = np.zeros((len(ids), network.narratives.out_features), dtype=np.float32)
    stances = np.zeros((len(ids), network.stances.out_features), dtype=np.float32)
    device = network.centre.device
    for rows, stacked, mask in padded_batches(ids, equal_batches(by_length(ids), batch_size), tokenizer.pad_id):
        output = network(torch.from_numpy(stacked).to(device), torch.from_numpy(mask).to(device))
        narratives[rows] = output.narratives.float().cpu().numpy()
        stances[rows] = output.stances.float().cpu().numpy()
    return Logits(narratives, stances)


def _batches(tokenizer: PostTokenizer, texts: Sequence[str], size: int = 32) -> Iterator[tuple[Tensor, Tensor]]:
    ids = tokenizer.encode(texts)
    for _, stacked, mask in padded_batches(ids, equal_batches(range(len(ids)), size), tokenizer.pad_id):
        yield torch.from_numpy(stacked), torch.from_numpy(mask)


def _whole(network: Network, encoder: PreTrainedModel) -> Network:
    """Make a network of the whole encoder out of one that may have its upper layers alone; weights are shared."""
    if network.encoder.config.num_hidden_layers == encoder.config.num_hidden_layers:
        return network
    restore_layers(encoder, network.encoder)
    with torch.random.fork_rng(devices=[]):  # or measuring in between would change what is drawn after it
        whole = Network(encoder.to(network.centre.device), len(network.narratives.bias), len(network.stances.bias))
    whole.centre, whole.spread = network.centre, network.spread
    whole.narratives, whole.stances = network.narratives, network.stances
    return whole


class _Steps(TrainerCallback):
    def __init__(self, on_step: Callable[[Step], None], log: EpochLog) -> None:
        self._on_step, self._log = on_step, log

    def on_step_end(self, _: Any, state: TrainerState, *__: Any, **___: Any) -> None:
        self._on_step(Step(state.global_step, state.max_steps, self._log.last_loss))


class _NetworkTrainer(Trainer):
    def __init__(
        self, *, loss: JointLoss, optimiser: OptimiserSettings, sampler: EpochSampler, log: EpochLog, **arguments: Any
    ) -> None:
        super().__init__(**arguments)
        self._loss = loss.to(self.args.device)
        self._optimiser = optimiser
        self._sampler = sampler
        self._log = log

    def _get_train_sampler(self, *_: Any, **__: Any) -> Sampler[int]:
        return self._sampler

    def compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], *_: Any, **__: Any) -> Tensor:
        output = model(inputs["input_ids"], inputs["attention_mask"])
        loss: Tensor = self._loss(output, inputs["targets"], inputs["stance"])
        self._log.add(loss.item())
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


def _arguments(settings: TrainingSettings, folder: Path) -> TrainingArguments:
    gpu = torch.cuda.is_available()
    mixed = settings.optimiser.mixed_precision
    half = mixed and gpu and not torch.cuda.is_bf16_supported(including_emulation=False)
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.optimiser.epochs,
        per_device_train_batch_size=settings.optimiser.batch_size // settings.optimiser.accumulate,
        gradient_accumulation_steps=settings.optimiser.accumulate,
        learning_rate=settings.optimiser.learning_rate,
        warmup_steps=settings.optimiser.warmup,
        lr_scheduler_type="linear",
        max_grad_norm=1.0,
        bf16=mixed and not half and (gpu or has_bfloat16()),
        fp16=half,
        use_cpu=not gpu,
        remove_unused_columns=False,
        save_strategy="no",  # training/checkpoints.py says when
        report_to="none",  # the TensorBoard callback is given its folder
        logging_strategy="steps",
        logging_steps=_STEPS_PER_LOG,
        disable_tqdm=True,
        seed=settings.seed,
        data_seed=settings.seed,
        dataloader_pin_memory=False,
    )
    if arguments.device.type == "cuda":
        arguments._n_gpu = 1  # the Trainer would spread each step over all GPUs, and multiply the batch size
    return arguments
