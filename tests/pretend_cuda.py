"""A CUDA device that is none: CPU tensors that are marked, and torch functions that treat the marks as CUDA would.

Inside `PretendCuda`, what is computed from a marked tensor is marked, .numpy() of it fails, and so does a function that
is given marked and unmarked tensors together. Values are real, so a whole pipeline runs and can be compared. It does
not see what NumPy or OpenCV do with memory, and it knows no kernels: those run through the shim of cuda_shim.py.
"""

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map_only

MIXES = {"__getitem__", "__setitem__", "copy_", "index_put_"}  # may take a CPU tensor beside a CUDA one
PLAIN = {"cpu", "item", "tolist", "__bool__", "__float__", "__int__", "__index__"}


def is_marked(tensor: torch.Tensor) -> bool:
    return tensor.__dict__.get("on_pretended_cuda", False)


def marked(tensor: torch.Tensor) -> torch.Tensor:
    tensor.__dict__["on_pretended_cuda"] = True
    return tensor


def serves_both(tensor: torch.Tensor) -> bool:
    """Parameters of a network, and what is computed from them alone: taken to be where they are needed."""
    return isinstance(tensor, torch.nn.Parameter) or tensor.__dict__.get("of_parameters", False)


def of_parameters(tensor: torch.Tensor) -> torch.Tensor:
    tensor.__dict__["of_parameters"] = True
    return tensor


class PretendCuda(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs, name = dict(kwargs or {}), getattr(function, "__name__", "")
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        on_cuda = any(map(is_marked, tensors))
        owner = getattr(function, "__self__", None)  # of a property: its descriptor
        if name == "__get__" and owner in (torch.Tensor.is_cuda, torch.Tensor.device):
            return on_cuda if owner is torch.Tensor.is_cuda else torch.device("cuda:0" if on_cuda else "cpu")
        if name in ("numpy", "__array__") and on_cuda:
            raise TypeError(f"{name}() of a CUDA tensor")
        if name == "to":
            return _moved(*args, **kwargs)
        if "device" in kwargs:
            on_cuda = torch.device(kwargs.pop("device") or "cpu").type == "cuda"
        elif on_cuda and name not in MIXES:
            for tensor in tensors:
                if not is_marked(tensor) and tensor.ndim and not serves_both(tensor):
                    raise RuntimeError(f"{name}: a CPU tensor {tuple(tensor.shape)} beside CUDA tensors")
        result = function(*args, **kwargs)
        if name == "cpu":
            return result.clone() if on_cuda else result  # a clone: what is on the device stays marked
        if on_cuda and name not in PLAIN:
            tree_map_only(torch.Tensor, marked, result)
        elif tensors and all(map(serves_both, tensors)):
            tree_map_only(torch.Tensor, of_parameters, result)
        return result


def _moved(tensor: torch.Tensor, *args, **kwargs) -> torch.Tensor:
    if isinstance(tensor, torch.nn.Parameter):
        return tensor  # serves on both devices
    target = kwargs.pop("device", None)
    if args and isinstance(args[0], (str, torch.device)):
        target, *args = args
    on_cuda = is_marked(tensor) if target is None else torch.device(target).type == "cuda"
    with torch._C.DisableTorchFunction():
        result = tensor.to(*args, **kwargs) if args or kwargs else tensor
        result = tensor.clone() if result is tensor and on_cuda != is_marked(tensor) else result
    return marked(result) if on_cuda else result
