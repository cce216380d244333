"""The rooms and the arrows of DESIGN.md: imports point down and in no circle; randomness and files stay put."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "lolblur_synth"
LEVELS = {
    "__init__": 0, "errors": 0, "draw": 0, "frames": 0, "recipe": 0,  # the vocabulary: open to every room
    "recipes": 1,
    "files": 2, "parallel": 2, "camera": 2, "kernels": 2,  # know no network and no stage
    "models": 3,
    "metrics": 4,
    "stages": 5,
    "pipeline": 6, "streams": 6,
    "dataset": 7,
    "training": 8,
    "tools": 9,
    "commands": 10,
    "cli": 11,
}  # fmt: skip
MODULES_AT_THE_ROOT = 8  # what a newcomer can take in at one look
KNOWN_CIRCLES = ()  # of modules that import each other; none is allowed
STANDARD_ONLY = ("errors", "recipe", "recipes")  # `--help` and shell completion start without torch
MAY_OPEN_FILES = ("recipes", "camera", "files", "models")  # and whatever lies above the pipeline
FIRST_LEVEL_OF_TOOLS = LEVELS["dataset"]
MAX_ARGUMENTS = 8  # of a function; what needs more is a record that has no name yet
MAY_TAKE_MORE = {
    "dataset/build.py build": "the public face, lolblur_synth.build: a user names each option",
}
FILES = sorted(PACKAGE.rglob("*.py"))
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def module_name(path: Path) -> str:
    """Dotted name of a file of the package or of benchmarks/, whose scripts import each other by bare names."""
    if path in BENCHMARKS:
        return path.stem
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in (*FILES, *BENCHMARKS)}


def imported(path: Path) -> set[str]:
    """Dotted names of everything that the file imports, inside functions too, `lolblur_synth.` included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def modules_imported(path: Path) -> set[str]:
    """The project's own modules among what the file imports."""
    found = set()
    for name in imported(path):
        found.add(name if name in MODULES else name.rpartition(".")[0])
    return (found & MODULES.keys()) - {module_name(path)}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one node (Tarjan 1972)."""
    index, low, stack, found = {}, {}, [], []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for neighbour in graph[node]:
            if neighbour not in index:
                visit(neighbour)
            if neighbour in stack:
                low[node] = min(low[node], low[neighbour])
        if low[node] == index[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(component) > 1:
                found.append(sorted(component))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def test_no_modules_import_each_other_in_a_circle():
    graph = {name: modules_imported(path) for name, path in MODULES.items()}
    assert circles(graph) == [list(circle) for circle in KNOWN_CIRCLES]


def test_no_rooms_import_each_other_in_a_circle():
    graph = {name: set() for name in {room(path) for path in FILES}}
    for path in FILES:
        for name in modules_imported(path):
            there = room(MODULES[name])
            if there not in (room(path), "__init__"):
                graph[room(path)].add(there)
    assert circles(graph) == []


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [["a", "b", "c"]]


def test_few_modules_stand_at_the_root():
    assert len(list(PACKAGE.glob("*.py"))) <= MODULES_AT_THE_ROOT


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_point_down(path):
    here = room(path)
    assert here in LEVELS, f"{path.name} has no room: give it a level here and in DESIGN.md"
    for name in modules_imported(path):
        there = room(MODULES[name])
        assert LEVELS[there] <= LEVELS[here], f"{path.name} imports {name}, which lies above it"
        if here == there == "stages" and path.name != "__init__.py":
            stage = path.relative_to(PACKAGE).parts[1].removesuffix(".py")
            assert name.split(".")[2] == stage, f"{path.name} imports {name}: a stage knows no other stage"
        if here == "stages":
            assert there != "files" or name == "lolblur_synth.files.weights", f"{path.name}: a stage opens no file"
    if here in STANDARD_ONLY:
        for name in imported(path):
            own = name.startswith("lolblur_synth")
            assert own or name.split(".")[0] in sys.stdlib_module_names, f"{path.name} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_no_private_name_crosses_a_folder(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            if MODULES[node.module].parent == path.parent:
                continue
            private = [alias.name for alias in node.names if alias.name.startswith("_") and alias.name != "__version__"]
            assert not private, f"{path.name} imports {private} from {node.module}"


@functools.cache
def long_argument_lists() -> dict[str, int]:
    """ "file function" -> arguments, keyword-only ones included, `self` and `cls` not counted, of functions that take
    more than MAX_ARGUMENTS; commands/ left out, whose functions take one argument for each option of a user."""
    counts = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if room(path) == "commands" or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            given = node.args
            every = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
            count = sum(one is not None and one.arg not in ("self", "cls") for one in every)
            if count > MAX_ARGUMENTS:
                counts[f"{path.relative_to(PACKAGE).as_posix()} {node.name}"] = count
    return counts


def test_no_function_takes_more_than_eight_arguments():
    long = long_argument_lists()
    assert not {name: count for name, count in long.items() if name not in MAY_TAKE_MORE}
    assert MAY_TAKE_MORE.keys() <= long.keys(), "an exception that nothing needs any more"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_randomness_only_in_draws(path):
    if path.name == "draw.py" or room(path) == "training":  # training seeds its own generators, see its docstring
        return
    text = path.read_text()
    for word in ("torch.rand", "np.random.seed", "np.random.rand", "np.random.normal", "default_rng", "manual_seed"):
        assert word not in text, f"{path.name} uses {word}; draw through lolblur_synth.draw"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_only_the_file_rooms_open_files(path):
    if room(path) in MAY_OPEN_FILES or LEVELS[room(path)] >= FIRST_LEVEL_OF_TOOLS:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        called = node.func if isinstance(node, ast.Call) else None
        name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
        assert name not in ("open", "read_text", "read_bytes", "write_text", "write_bytes", "imread", "imwrite"), (
            path.name
        )


def test_help_imports_neither_torch_nor_opencv():
    code = (
        "import sys; from click.testing import CliRunner; from lolblur_synth.cli import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        "assert CliRunner().invoke(main, ['stage', 'darken', '--help']).exit_code == 0\n"
        "loaded = {m.split('.')[0] for m in sys.modules} & {'torch', 'cv2', 'numpy', 'numba', 'av', 'cupy', 'scipy'}\n"
        "sys.exit(f'imported {loaded}' if loaded else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_network_at_run_time():
    may_use_stores = ("lolblur_synth.files.remote",)  # for a URL that the user names
    may_use_sockets = ("lolblur_synth.dataset.lock", "lolblur_synth.parallel.clusters")  # host name; a user's address
    for path in FILES:
        for name in imported(path):
            assert name.split(".")[0] not in ("fsspec", "s3fs") or module_name(path) in may_use_stores, path.name
            assert name.split(".")[0] not in ("requests", "urllib", "http", "socket", "ftplib") or (
                name == "socket" and module_name(path) in may_use_sockets
            ), f"{path.name} imports {name}"
