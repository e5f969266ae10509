"""Whether a model is being exported, as any torch of ours can tell."""

try:
    from torch.compiler import is_exporting
except ImportError:  # torch 2.6, where exporting is a kind of compiling
    from torch.compiler import is_compiling as is_exporting

__all__ = ["is_exporting"]
