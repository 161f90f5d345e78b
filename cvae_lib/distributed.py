"""The processes that train one model together, when a launcher started several; else one alone."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

PATIENCE = timedelta(hours=1)  # with a process that validates or writes


class Processes:
    """This process among those that ``accelerate launch`` or torchrun started.

    Each has the whole model, takes its share of every batch, and draws its own noise. Process 0,
    the main one, validates, writes and shows. Alone, nothing here changes anything or costs time.
    ValueError for a ``device`` other than the one that the launcher gave to this process.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.rank, self.count, self.main = device, 0, 1, True
        if "LOCAL_RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return
        from accelerate import Accelerator  # a second to import
        from accelerate.utils import InitProcessGroupKwargs

        self.accelerator = Accelerator(
            cpu=device.type == "cpu",
            mixed_precision="no",  # settled once a process; `fit` has one for each run
            kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        )
        self.rank, self.count = self.accelerator.process_index, self.accelerator.num_processes
        self.main = self.rank == 0
        given = torch.empty(0, device=self.accelerator.device).device
        if torch.empty(0, device=device).device != given:
            me = f"process {self.rank} of {self.count}"
            raise ValueError(f"{me} must have its model on {given}, it is on {device}")

    def wrap(self, module: nn.Module) -> nn.Module:
        """``module`` as DistributedDataParallel, which gives every process the main one's weights.

        On GPUs its BatchNorm layers see whole batches from then on. On CPUs, for which PyTorch has
        no such layer, each sees its share, and the running statistics are the main process's.
        """
        if self.count == 1:
            return module
        if self.device.type == "cuda":
            module = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        return self.accelerator.prepare(module)

    def batches(self, order: Tensor, size: int) -> list[Tensor]:
        """An epoch's positions (N,) by ``size``; too few for every process join the last batch."""
        batches = list(order.split(size))
        if len(batches) > 1 and len(batches[-1]) < self.count:
            batches[-2:] = [torch.cat(batches[-2:])]
        return batches

    def total(self, sums: Tensor) -> Tensor:
        """``sums`` (any shape), added up over all processes."""
        if self.count > 1:
            dist.all_reduce(sums)
        return sums

    def any(self, flag: bool) -> bool:
        """Whether it is true in any process."""
        return bool(self.total(torch.tensor(float(flag), device=self.device)))

    def from_main(self, make: Callable[[], Any]) -> Any:
        """What ``make`` returns in the main process; the others wait for it."""
        box = [make() if self.main else None]
        if self.count > 1:
            dist.broadcast_object_list(box)
        return box[0]

    def equalise(self, model: nn.Module) -> None:
        """Give every process the main one's parameters and buffers."""
        if self.count > 1:
            state = self.from_main(lambda: {k: v.cpu() for k, v in model.state_dict().items()})
            model.load_state_dict(state)


def overall_mean(values: Tensor) -> Tensor:
    """The mean () over all processes' shares of a batch; over ``values`` where one is alone."""
    if not (dist.is_available() and dist.is_initialized()):
        return values.mean()
    sums = torch.stack([values.sum(), values.new_full((), values.numel())])
    dist.all_reduce(sums)
    return sums[0] / sums[1]
