"""weights.py: what fits is loaded, what does not is refused with one line, and nothing in a file is ever executed."""

import io
import pickle
import time
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lolblur_synth.errors import WeightsError
from lolblur_synth.files import atomic, weights


def net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 1, 3))


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return {name: torch.randn(value.shape) for name, value in net().state_dict().items()}


def refused(path, match: str) -> None:
    """`load` raises one line that names the file, and leaves the module as it was."""
    module = net()
    before = [value.clone() for value in module.state_dict().values()]
    with pytest.raises(WeightsError, match=match) as caught:
        weights.load(module, path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value) + caught.value.hint
    assert all(torch.equal(old, new) for old, new in zip(before, module.state_dict().values(), strict=True))


def test_saved_weights_come_back(tmp_path):
    source, target = net(), net()
    digest = weights.save(source, tmp_path / "a.safetensors", {"steps": 3, "data": "none"})
    assert weights.load(target, tmp_path / "a.safetensors") == digest == weights.sha256(tmp_path / "a.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), target.parameters(), strict=True))
    assert weights.about(tmp_path / "a.safetensors") == {"steps": 3, "data": "none"}
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]


def test_same_weights_same_bytes(tmp_path):
    source = net()
    first = weights.save(source, tmp_path / "a.safetensors", {"b": 1, "a": 2})
    assert first == weights.save(source, tmp_path / "b.safetensors", {"a": 2, "b": 1})


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    atomic.write(tmp_path / "a", b"old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        atomic.write(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("wrapper", [None, "params", "params_ema", "state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_published_pth_layouts(tmp_path, state, wrapper, prefix):
    content = {prefix + name: value for name, value in state.items()}
    torch.save({wrapper: content, "epoch": 3} if wrapper else content, tmp_path / "a.pth")
    module = net()
    weights.load(module, tmp_path / "a.pth")
    assert all(torch.equal(value, module.state_dict()[name]) for name, value in state.items())


def average(state):
    return {name: value + 1 for name, value in state.items()}


def under(prefix, state):
    return {prefix + name: value for name, value in state.items()}


CHECKPOINTS = {
    "torch.compile": lambda state: under("_orig_mod.", state),
    "compile of DDP": lambda state: {"model": under("_orig_mod.module.", state)},
    "DDP of compile": lambda state: {"state_dict": under("module._orig_mod.", state)},
    "compile of a part": lambda state: {name.replace("0.", "0._orig_mod."): value for name, value in state.items()},
    "Lightning": lambda state: {"epoch": 1, "state_dict": under("net.", state), "loops": {}, "optimizer_states": [{}]},
    "Lightning of DDP": lambda state: {"state_dict": under("model.net.module.", state)},
    "AveragedModel": lambda state: under("module.", state) | {"n_averaged": torch.tensor(3)},
    "a trainer's own word": lambda state: {"generator": under("netG.", state), "step": torch.tensor(3)},
    "three deep": lambda state: {"checkpoint": {"state": {"state_dict": state}}, "args": {"lr": 0.1}},
    "BasicSR": lambda state: {"params": average(state), "params_ema": state},
    "timm": lambda state: {"state_dict": average(state), "state_dict_ema": under("module.", state)},
    "an average deeper down": lambda state: {"model": average(state), "callbacks": {"EMA": {"shadow": state}}},
    "averages of an optimiser": lambda state: {"optimizer": {"exp_avg": average(state)}, "net": {"weights": state}},
    "twice the same": lambda state: {"net": state, "best": dict(state)},
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_checkpoints_of_other_trainers_are_read(tmp_path, state, name):
    torch.save(CHECKPOINTS[name](state), tmp_path / "a.pth")
    module = net()
    weights.load(module, tmp_path / "a.pth")
    assert all(torch.equal(value, module.state_dict()[name]) for name, value in state.items())


def test_two_tables_that_fit_and_differ_are_refused(tmp_path, state):
    torch.save({"net_a": state, "net_b": average(state)}, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "'net_a' and 'net_b' both fit Sequential, and differ")


def test_words_before_some_names_only_are_not_taken_away(tmp_path, state):
    torch.save(under("net.", state) | {"loss.weight": torch.ones(1)}, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "which Sequential has not")


def test_tables_that_hold_themselves_end(tmp_path, state):
    content = {"state": state}
    content["self"] = content
    torch.save(content, tmp_path / "a.pth")
    weights.load(net(), tmp_path / "a.pth")


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_float64_is_taken_where_float32_holds_it(tmp_path, state, suffix):
    double = {name: value.double() for name, value in state.items()}
    path = tmp_path / f"a.{suffix}"
    save_file(double, path) if suffix == "safetensors" else torch.save(double, path)
    module = net()
    weights.load(module, path)
    assert all(torch.equal(value, module.state_dict()[name]) for name, value in state.items())


def test_channels_last_weights_are_taken(tmp_path, state):
    state = {"0.weight": torch.randn(4, 3, 3, 3), "0.bias": torch.randn(4)}
    torch.save({"0.weight": state["0.weight"].to(memory_format=torch.channels_last), "0.bias": state["0.bias"]},
               tmp_path / "a.pth")  # fmt: skip
    module = nn.Sequential(nn.Conv2d(3, 4, 3))
    weights.load(module, tmp_path / "a.pth")
    assert torch.equal(module[0].weight, state["0.weight"])


@pytest.mark.parametrize("strides", [(0, 9, 3, 1), (9, 9, 0, 1), (1, 9, 3, 1)])
def test_elements_that_share_a_place_are_refused(tmp_path, state, strides):
    state["0.weight"] = torch.ones(100).as_strided((4, 1, 3, 3), strides)
    torch.save(state, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "not stored value by value")


def test_legacy_pickles_are_read(tmp_path, state):
    torch.save(state, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    weights.load(net(), tmp_path / "a.pth")


def test_rename_maps_and_drops(tmp_path, state):
    stored = {"net." + name: value for name, value in state.items()} | {"unused": torch.ones(1)}
    save_file(stored, tmp_path / "a.safetensors")
    module = net()
    weights.load(module, tmp_path / "a.safetensors", lambda name: name.removeprefix("net.") if "." in name else None)
    assert torch.equal(module[0].weight, state["0.weight"])


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_weights_of_half_precision_are_taken(tmp_path, state, kind):
    module = net()
    save_file({name: value.to(kind) for name, value in state.items()}, tmp_path / "half.safetensors")
    weights.load(module, tmp_path / "half.safetensors")
    assert all(value.equal(state[name].to(kind).float()) for name, value in module.state_dict().items())


def test_denormals_become_zero(tmp_path, state):
    state["0.weight"][:] = 1e-40
    save_file(state, tmp_path / "a.safetensors")
    module = net()
    weights.load(module, tmp_path / "a.safetensors")
    assert not module[0].weight.any()


def test_missing_and_unknown_names():
    with pytest.raises(WeightsError, match="no such weights") as caught:
        weights.resolve("no-such-thing")
    assert "darken-slim" in caught.value.hint
    assert weights.resolve("darken-slim").is_file() and "steps" in weights.about("darken-slim")


def change(**changes):
    return lambda state: {name: value for name, value in {**state, **changes}.items() if value is not None}


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (change(**{"1.bias": None}), "lacks 1.bias"),
        (change(extra=torch.ones(1)), "has 'extra'"),
        (change(**{"1.bias": torch.ones(7)}), r"1.bias is \(7,\) where Sequential has \(1,\)"),
        (change(**{"1.bias": torch.full((1,), 1e300, dtype=torch.float64)}), "too large for torch.float32"),
        (change(**{"1.bias": torch.ones(1, dtype=torch.int32)}), "int32, not torch.float32"),
        (change(**{"1.bias": torch.full((1,), torch.nan)}), "NaN"),
        (change(**{"1.bias": torch.full((1,), torch.inf)}), "NaN or infinite"),
        (lambda state: {}, "lacks"),
    ],
)
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_wrong_content_is_refused(tmp_path, state, spoil, match, suffix):
    path = tmp_path / f"a.{suffix}"
    save_file(spoil(state), path) if suffix == "safetensors" else torch.save(spoil(state), path)
    refused(path, match)


@pytest.mark.parametrize("content", [[1, 2], {"params": [1]}, {"a": "text"}, 3, {3: torch.ones(1)}])
def test_other_objects_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "no table of weights")


class Payload:
    def __reduce__(self):
        return (eval, ("__import__('pathlib').Path(" + repr(self.mark) + ").write_text('run')",))


@pytest.mark.parametrize("form", ["torch", "torch-legacy", "pickle"])
def test_code_in_a_pickle_is_never_run(tmp_path, form):
    mark, path = tmp_path / "executed", tmp_path / "a.pth"
    payload = Payload()
    payload.mark = str(mark)
    if form == "pickle":
        path.write_bytes(pickle.dumps({"0.weight": payload}))
    else:
        torch.save({"0.weight": payload}, path, _use_new_zipfile_serialization=form == "torch")
    refused(path, "not a file of plain weights")
    assert not mark.exists()


def test_a_tensor_bomb_is_refused_at_once(tmp_path, state):
    """1.5 kB that claim 40 GB: loads under weights_only, dies on the first copy."""
    state["0.weight"] = torch.ones(1).expand(100_000, 100_000)
    torch.save(state, tmp_path / "a.pth")
    started = time.process_time()
    refused(tmp_path / "a.pth", "0.weight is")
    assert time.process_time() - started < 2


def test_a_stride_0_tensor_of_the_right_shape_is_refused(tmp_path, state):
    state["0.weight"] = torch.ones(1).expand(4, 1, 3, 3)
    torch.save(state, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", "not stored value by value")


def test_a_compressed_bomb_is_refused_unread(tmp_path, state):
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with zipfile.ZipFile(buffer) as plain, zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))
        packed.writestr("archive/data/99", bytes(100 << 20))
    assert (tmp_path / "a.pth").stat().st_size < 1 << 20
    refused(tmp_path / "a.pth", "holds over 64 MiB")


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("keep", [0, 7, 100, 0.5, 0.99])
def test_truncated_files_are_refused(tmp_path, state, suffix, keep):
    path = tmp_path / f"a.{suffix}"
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    data = path.read_bytes()
    path.write_bytes(data[: keep if isinstance(keep, int) else int(keep * len(data))])
    refused(path, "not a readable safetensors file" if suffix == "safetensors" else "not a file of plain weights")


def test_a_zip_archive_with_a_damaged_directory_is_refused(tmp_path, state):
    torch.save(state, tmp_path / "a.pth")
    data = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(data.replace(b"PK\x01\x02", b"PK\x01\x03", 1))
    refused(tmp_path / "a.pth", "not a file of plain weights")


def test_a_huge_safetensors_header_is_refused(tmp_path):
    (tmp_path / "a.safetensors").write_bytes((1 << 40).to_bytes(8, "little") + b"{}")
    refused(tmp_path / "a.safetensors", "not a readable safetensors file")


def test_pth_needs_a_safe_torch(tmp_path, state, monkeypatch):
    torch.save(state, tmp_path / "a.pth")
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    refused(tmp_path / "a.pth", "torch 2.10")


def test_the_content_says_the_format_whatever_the_name(tmp_path, state):
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "b.pth")
    for old, new in (("a.safetensors", "a.bin"), ("b.pth", "b.safetensors")):
        module = net()
        weights.load(module, (tmp_path / old).rename(tmp_path / new))
        assert all(torch.equal(value, module.state_dict()[name]) for name, value in state.items())
