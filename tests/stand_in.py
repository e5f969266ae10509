"""A device that is none: tests find what a GPU would stumble over.

Its tensors say that they lie on "stand_in:0" and hold their numbers on the
host. What mixes them with tensors of the host fails, as on a GPU; what waits
for their values is counted. Needs torch's Python backends.
"""

import copy
from collections import Counter
from functools import partial

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import backend_registration
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    return_and_correct_aliasing,
)

NAME = "stand_in"
HERE = torch.device("cpu")
POSSIBLE = hasattr(
    backend_registration, "_setup_privateuseone_for_python_backend"
)
# May be given tensors of either place.
MIXES = {
    "aten::_to_copy",
    "aten::copy_",
    "aten::index",
    "aten::index_put",
    "aten::index_put_",
    "aten::_index_put_impl_",
    "aten::_pack_padded_sequence",
}
READS = {
    "aten::_local_scalar_dense",
    "aten::_unique2",
    "aten::equal",
    "aten::masked_select",
    "aten::nonzero",
    "aten::unique_dim",
}
# What autocast narrows, and what it widens, on CUDA (autocast_mode.h).
NARROWED = (
    "linear matmul mm mv addmm addmv addbmm bmm baddbmm chain_matmul "
    "linalg_multi_dot conv1d conv2d conv3d conv_transpose1d prelu "
    "scaled_dot_product_attention"
).split()
WIDENED = (
    "exp expm1 log log10 log2 log1p pow reciprocal rsqrt softplus cumprod "
    "cumsum prod sum softmax log_softmax logsumexp layer_norm "
    "native_layer_norm group_norm linalg_vector_norm cosine_similarity cdist "
    "dist nll_loss cross_entropy_loss kl_div l1_loss smooth_l1_loss "
    "huber_loss mse_loss binary_cross_entropy_with_logits triplet_margin_loss"
).split()
RECURRENT = ("gru", "lstm", "rnn_tanh", "rnn_relu")

waits = Counter()  # operation -> times that Python waited for its values


class Module:
    """What torch asks of a kind of device."""

    is_available = is_initialized = staticmethod(lambda: True)
    device_count = staticmethod(lambda: 1)
    current_device = staticmethod(lambda: 0)
    _is_in_bad_fork = staticmethod(lambda: False)
    set_device = manual_seed = manual_seed_all = staticmethod(lambda _: None)
    synchronize = staticmethod(lambda device=None: None)
    get_rng_state = staticmethod(lambda device=0: torch.get_rng_state())
    set_rng_state = staticmethod(lambda state, device=0: None)
    get_amp_supported_dtype = staticmethod(
        lambda: [torch.bfloat16, torch.float16]
    )


class There(torch.Tensor):
    """A tensor of the device."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner, requires_grad=False):
        tensor = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device(NAME, 0),
            requires_grad=requires_grad,
        )
        tensor.inner = inner
        return tensor

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return compute(func, args, kwargs or {})

    def tolist(self):
        waits["tolist"] += 1
        return self.inner.tolist()

    def numpy(self, *args, **kwargs):
        raise TypeError(f"can't convert {NAME}:0 device type tensor to numpy.")

    __array__ = numpy

    @property
    def data(self):
        return self.detach()

    @data.setter
    def data(self, new):
        torch.Tensor.data.__set__(self, new)
        self.inner = new.inner

    def untyped_storage(self):
        return self.inner.untyped_storage()

    def data_ptr(self):
        return self.inner.data_ptr()

    def __reduce_ex__(self, protocol):  # what is stored is on the host
        return self.inner.__reduce_ex__(protocol)

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            memo[id(self)] = twin = There(
                self.inner.clone(), self.requires_grad
            )
            if isinstance(self, torch.nn.Parameter):
                twin._is_param = True
            twin.grad = copy.deepcopy(self.grad, memo)
        return memo[id(self)]

    def __repr__(self):
        return f"There({self.inner})"


def is_there(device) -> bool:
    """Whether a device, or its name, is this one."""
    return device is not None and torch.device(device).type == NAME


def compute(func, args, kwargs):
    """Run an operation of tensors of the device on the host."""
    name, device = func._schema.name, kwargs.get("device")
    given = list(_tensors((args, list(kwargs.values()))))
    there = [x for x in given if isinstance(x, There)]
    if name not in MIXES and there:
        if any(x.dim() and not isinstance(x, There) for x in given):
            raise RuntimeError(
                f"{name}: all tensors must be on one device, but are on "
                f"{NAME} and cpu."
            )
    if name.startswith("aten::index") and not isinstance(given[0], There):
        raise RuntimeError(f"{name}: the host's is indexed by {NAME}'s.")
    goes = name == "aten::_to_copy" and device and not is_there(device)
    if there and (name in READS or goes):
        waits[name] += 1
    if name == "aten::_fused_sdp_choice":
        return 0  # plain products
    results = func(*_changed(_here, args), **_changed(_here, kwargs))
    if device is not None and not is_there(device):
        # What went to the host must not change with what stays.
        return results.clone() if goes else results
    if name == "aten::copy_" and not isinstance(args[0], There):
        return args[0]
    if name == "aten::_pack_padded_sequence":
        return There(results[0]), results[1]
    results = _changed(
        lambda x: There(x) if isinstance(x, torch.Tensor) else x, results
    )
    if name == "aten::_to_copy":
        return results
    return return_and_correct_aliasing(func, args, kwargs, results)


def _tensors(values):
    """The tensors of nested sequences."""
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, tuple | list):
            yield from _tensors(value)


def _changed(function, value):
    """A function of all that nested sequences and a mapping hold."""
    if isinstance(value, tuple | list):
        kind = list if isinstance(value, list) else tuple
        return kind(_changed(function, each) for each in value)
    if isinstance(value, dict):
        return {key: _changed(function, at) for key, at in value.items()}
    return function(value)


def _here(value):
    if isinstance(value, There):
        return value.inner
    return HERE if isinstance(value, torch.device) else value


class _Made(TorchFunctionMode):
    """What torch makes or looks up of Python's numbers, unseen by dispatch."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        if name == "new_tensor" and isinstance(args[0], There):
            like, *args = args
            kwargs = {"device": like.device, "dtype": like.dtype, **kwargs}
            func = name = torch.tensor
        made = func in (torch.tensor, torch.as_tensor)
        if made and is_there(kwargs.get("device")):
            learns = kwargs.pop("requires_grad", False)
            device = kwargs.pop("device")
            made = func(*args, **kwargs).to(device)
            return made.requires_grad_() if learns else made
        if name in RECURRENT and is_there(args[0].device):
            # Torch's own cells of these devices are not to be had.
            moved = _changed(_to(HERE), args)
            return _changed(_to(args[0].device), func(*moved))
        if name == "ctc_loss" and is_there(args[0].device):
            # CUDA fetches lengths, and sends targets, by itself.
            return func(*_changed(_to(args[0].device), args), **kwargs)
        items = name in ("__getitem__", "__setitem__")
        if items and isinstance(args[0], There):
            at = args[1] if isinstance(args[1], tuple) else (args[1],)
            args = (args[0], tuple(map(_as_tensor, at)), *args[2:])
        return func(*args, **kwargs)


def _to(device):
    return lambda x: x.to(device) if isinstance(x, torch.Tensor) else x


def _as_tensor(index):
    listed = isinstance(index, list | range)
    return torch.tensor(list(index)) if listed else index


class _Everywhere(TorchDispatchMode):
    """What names the device, without a tensor of it."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = _tensors((args, list(kwargs.values())))
        here = not any(isinstance(x, There) for x in given)
        if not here or is_there(kwargs.get("device")):
            return compute(func, args, kwargs)
        return func(*args, **kwargs)


def _autocast(library, name, kind) -> None:
    """All forms of an operation read their numbers in a type, under autocast.

    ``kind``: () -> the type.
    """
    key = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def cast(value):
        floats = (torch.float32, torch.bfloat16, torch.float16)
        if isinstance(value, torch.Tensor) and value.dtype in floats:
            return value.to(kind())
        return value

    def run(op, *args, **kwargs):
        with torch._C._ExcludeDispatchKeyGuard(key):
            return op(*_changed(cast, args), **_changed(cast, kwargs))

    packet = getattr(torch.ops.aten, name)
    for form in packet.overloads():
        op = getattr(packet, form)
        if not op._schema.is_mutable and "imname" not in form:
            at = name if form == "default" else f"{name}.{form}"
            library.impl(at, partial(run, op), "AutocastPrivateUse1")


def _moved(module, *args, move=torch.nn.Module.to, **kwargs):
    """A module that moves keeps its parameters, so that tied ones stay so."""
    future = torch.__future__
    before = future.get_swap_module_params_on_conversion()
    future.set_swap_module_params_on_conversion(True)
    try:
        return move(module, *args, **kwargs)
    finally:
        future.set_swap_module_params_on_conversion(before)


_kept = []  # libraries and modes, as long as the process


def set_up() -> None:
    """From now on this process has the device "stand_in", and it is taken
    where none is named. Cannot be undone."""
    backend_registration._setup_privateuseone_for_python_backend(NAME, Module())
    others = torch.library.Library("_", "IMPL")
    others.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    library = torch.library.Library("aten", "IMPL")
    for name in NARROWED:
        _autocast(library, name, lambda: torch.get_autocast_dtype(NAME))
    for name in WIDENED:
        _autocast(library, name, lambda: torch.float32)
    torch.nn.Module.to = _moved
    modes = _Made(), _Everywhere()
    for mode in modes:
        mode.__enter__()
    _kept.extend((others, library, *modes))
