"""The processes that train one model together, when a launcher started several."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")

PATIENCE = timedelta(hours=1)  # with a process that validates or writes


class Processes:
    """This process among those that `accelerate launch` or torchrun started; else it is alone.

    Each has the whole model and takes its share of every batch. Process 0, the main one, validates,
    writes and shows. Alone, nothing here changes anything or costs time.

    Args:
        device: where this process has its model; of several GPUs, its own.

    Raises:
        ValueError: if it is another device than the launcher gave to this process.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.rank, self.count = device, 0, 1
        if "LOCAL_RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return
        from accelerate import PartialState  # seconds to import

        state = PartialState(cpu=device.type == "cpu", timeout=PATIENCE)
        self.rank, self.count = state.process_index, state.num_processes
        given = torch.empty(0, device=state.device).device
        if torch.empty(0, device=device).device != given:
            raise ValueError(
                f"process {self.rank} of {self.count} must have its model on {given}, "
                f"it is on {device}"
            )

    @property
    def main(self) -> bool:
        return self.rank == 0

    @property
    def every(self) -> int:
        """Steps from one agreement on an interrupt to the next."""
        return 1 if self.count == 1 else 10

    def share(self, batch: Tensor) -> tuple[Tensor, float]:
        """This process's positions of a batch, and which part of it they are.

        A process for which none are left takes the first ones, as no part of the batch: every
        process takes every step.
        """
        own = batch[self.rank :: self.count]
        return (own, len(own) / len(batch)) if len(own) else (batch[: self.count], 0.0)

    def average(self, model: nn.Module, means: Tensor, part: float) -> Tensor:
        """Turn gradients and means of the share into the whole batch's; return the means."""
        if self.count == 1:
            return means
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        tensors = [*gradients, means.float()]
        flat = torch.cat([tensor.flatten() for tensor in tensors]) * part
        dist.all_reduce(flat)
        *totals, means = flat.split([tensor.numel() for tensor in tensors])
        for gradient, total in zip(gradients, totals, strict=True):
            gradient.copy_(total.view_as(gradient))
        return means.double()

    def any(self, flag: bool) -> bool:
        """Whether it is true in any process."""
        if self.count == 1:
            return flag
        number = torch.tensor(float(flag), device=self.device)
        dist.all_reduce(number, dist.ReduceOp.MAX)
        return bool(number)

    def from_main(self, make: Callable[[], T]) -> T:
        """What ``make`` returns in the main process; the others wait for it."""
        if self.count == 1:
            return make()
        box = [make() if self.main else None]
        dist.broadcast_object_list(box)
        return box[0]  # type: ignore[return-value]

    def join_model(self, model: nn.Module) -> None:
        """Give every process the main one's parameters and buffers.

        On GPUs its BatchNorm layers then see whole batches. On CPUs each sees the share of its
        process, and the running statistics that are kept are the main one's.
        """
        if self.count == 1:
            return
        if self.device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(model)
        for tensor in model.state_dict().values():
            sent = tensor.contiguous()
            dist.broadcast(sent, 0)
            tensor.copy_(sent)

    def seed_step(self, generator: torch.Generator, seed: int, step: int) -> None:
        """Several processes draw noise by seed, step and rank alone: a resumed run draws the same.

        Alone, a process goes on with its generators, whose states are in the checkpoint.
        """
        if self.count > 1:
            number = 2 * ((seed * 1_000_003 + step) * self.count + self.rank)
            generator.manual_seed(number % 2**63)
            torch.manual_seed((number + 1) % 2**63)  # equal seeds would give equal numbers
