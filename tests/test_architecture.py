"""The rooms, the direction of imports, and the habits that no linter holds."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "scalewise"
MODULES = sorted(SRC.rglob("*.py"))
ROOMS = (
    "core", "runs", "laws", "fit", "forecast", "plan", "train", "sources", "report", "cli", "web",
)  # fmt: skip
NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}
HEAVY = (
    "torch",
    "matplotlib",
    "starlette",
    "uvicorn",
    "ray",
    "rich",
    "pydantic",
    "scipy",
    "polars",
)
TEXTS = {".py", ".md", ".toml", ".cff", ".css", ".csv", ".html", ".json", ".js", ".txt", ".yml", ""}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def source(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_imports_point_downward() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()",
         "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert " kept, 0 broken" in done.stdout


def test_every_package_that_is_imported_is_installed_with_the_part_that_needs_it() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = settings["optional-dependencies"]
    parts = {"train": ("train", "ray"), "web": ("serve",)}
    missing = []
    for path in MODULES:
        room = path.relative_to(SRC).parts[0]
        wanted = [*settings["dependencies"], *(w for e in parts.get(room, ()) for w in extras[e])]
        installed = {re.split(r"[<>=]", w)[0].replace("-", "_") for w in wanted}
        missing += [
            f"{name_of(path)}: {name}"
            for name in imported(ast.parse(source(path)))
            if name not in {"scalewise", *installed, *sys.stdlib_module_names}
        ]
    assert not missing


def imported(tree: ast.AST) -> set[str]:
    """The packages that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_the_rooms_are_those_of_the_design_and_each_says_what_it_is_for() -> None:
    assert {path.parent.name for path in SRC.glob("*/__init__.py")} == set(ROOMS)
    for room in ROOMS:
        tree = ast.parse(source(SRC / room / "__init__.py"))
        assert ast.get_docstring(tree), f"{room} has no docstring"


def test_every_room_has_its_tests() -> None:
    empty = [room for room in ROOMS if not list((ROOT / "tests" / room).rglob("test_*.py"))]
    assert not empty


def test_modules_are_short_and_named_for_what_they_do() -> None:
    lengths = {name_of(path): len(source(path).splitlines()) for path in MODULES}
    assert not {name: length for name, length in lengths.items() if length > 400}
    assert not [name_of(path) for path in MODULES if {path.stem, path.parent.name} & NAMELESS]


def test_functions_fit_on_a_page() -> None:
    long = [
        f"{name_of(path)}: {node.name}"
        for path in MODULES
        for node in ast.walk(ast.parse(source(path)))
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 80
    ]
    assert not long


def test_no_module_runs_code_that_it_reads() -> None:
    found = {name_of(path): forbidden(ast.parse(source(path))) for path in MODULES}
    assert not {name: uses for name, uses in found.items() if uses}


@pytest.mark.parametrize(
    "text",
    ["import pickle", "from pickle import loads", "np.load('x', allow_pickle=True)", "eval('1')",
     "import torch\ntorch.load('x')", "exec('')", "from torch import load", "import shelve",
     "os.system('x')", "subprocess.run('x', shell=True)"],
)  # fmt: skip
def test_the_scan_sees_code_that_would_run_what_it_reads(text: str) -> None:
    assert forbidden(ast.parse(text))


UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}
UNSAFE_METHODS = {("torch", "load"), ("os", "system")}


def forbidden(tree: ast.AST) -> list[str]:
    """What would run, or rebuild objects from, the content of a file: data are JSON or arrays."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found += [a.name for a in names if a.name.split(".")[0] in UNSAFE_MODULES]
            case ast.ImportFrom(module=str(module), names=names):
                found += [module] if module.split(".")[0] in UNSAFE_MODULES else []
                found += [f"{module}.{a.name}" for a in names if (module, a.name) in UNSAFE_METHODS]
            case ast.keyword(arg="allow_pickle" | "shell" as name, value=value) if not (
                isinstance(value, ast.Constant) and value.value is False
            ):
                found.append(name)
            case ast.Call(func=ast.Name(id=name)) if name in UNSAFE_CALLS:
                found.append(name)
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=attr)):
                found += [f"{owner}.{attr}"] if (owner, attr) in UNSAFE_METHODS else []
            case _:
                pass
    return found


def tracked() -> list[Path]:
    """Every file that the repository holds; without git, every file of its folders."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    if listed.returncode == 0:
        return [
            ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()
        ]
    folders = ("src", "tests", "docs", "benchmarks", ".ci")
    return [p for folder in folders for p in (ROOT / folder).rglob("*") if p.is_file()]


# Patterns that do not match themselves, so that this file may be searched too.
ONE_MACHINE = re.compile(r"(?:^|[\s\"'`(=:])/(?:wor[k]|hom[e]|roo[t]|tm[p]|User[s])/[\w.-]")
WRITTEN_WITH = re.compile(r"sub-?agen[t]|chat-?gp[t]|copilo[t]|claud[e]|anthropi[c]", re.IGNORECASE)


def test_no_file_names_one_machine_or_the_tools_it_was_written_with() -> None:
    hits = []
    for path in tracked():
        if path.suffix not in TEXTS or path.stat().st_size > 5_000_000:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            if ONE_MACHINE.search(line) or WRITTEN_WITH.search(line):
                hits.append(f"{name_of(path)}:{number}: {line.strip()[:80]}")
    assert not hits


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = f"import sys, scalewise; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_help_loads_neither_tables_nor_numbers_nor_figures() -> None:
    code = (
        "import sys\nfrom scalewise.cli import main\nsys.argv = ['scalewise', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print([m for m in {(*HEAVY, 'numpy')!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"
