"""How images are predicted."""

from __future__ import annotations

from dataclasses import dataclass

from mmseg_deeplab_ext.errors import ConfigError


@dataclass(frozen=True)
class PredictOptions:
    """How to predict.

    Attributes:
        mode: See :func:`mmseg_deeplab_ext.prediction.modes.use_mode`.
        batch_size: Images per forward pass; those of one pass have equal (padded) sizes.
        device: As PyTorch names it; by default the GPU if there is one, else the CPU.
        amp: Compute in float16 on a GPU, in bfloat16 on a CPU.
        launcher: What started this process and others that share the images: ``pytorch``,
            ``slurm``, ``mpi``, or ``none``.
        optimise: Make the segmentor quicker first; its labels are equal to rounding.
        dtype: Of the network then, see :func:`mmseg_deeplab_ext.inference.optimise.optimise`.

    Raises:
        ConfigError: There is no such batch, or two options ask for different types.
    """

    mode: str | None = None
    batch_size: int = 1
    device: str | None = None
    amp: bool = False
    launcher: str = "none"
    optimise: bool = True
    dtype: str = "fp32"

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigError(f"The batch size is {self.batch_size}; at least 1 is needed.")
        if self.amp and self.dtype != "fp32":
            raise ConfigError(
                f"--amp lets PyTorch choose types, --dtype {self.dtype} sets one: pass one of them."
            )
