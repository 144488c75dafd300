"""Whether a test can fail: of a claim's, the handbook says that it proves a sentence.

What is read is the text. A statement counts that is reached on Linux; an assertion
counts whose worth only a run can tell. Functions of the same file and of
`tests/support/` are followed.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from handbook import constants, texts
from handbook.constants import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
# What of pytest asserts: `with pytest.raises(...)` fails where nothing is raised.
ASSERTING = {"raises", "warns", "deprecated_call", "fail"}
SWALLOWS = {"AssertionError", "Exception", "BaseException"}


@dataclass
class Fault:
    """Why a test cannot fail, on which line, and what to do about it."""

    line: int
    what: str
    mend: str


@dataclass
class Scope:
    """A file of tests: its functions, its constants, and which helpers assert.

    A method's name begins with a dot.
    """

    tree: ast.Module
    helpers: frozenset[str] = frozenset()
    constants: constants.Names = field(default_factory=dict)
    functions: dict[str, list[Function]] = field(default_factory=dict)
    _asserting: dict[int, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Gather what the file defines."""
        methods = set()
        for node in texts.nodes(self.tree):  # a class comes before what is in it
            if isinstance(node, ast.ClassDef):
                methods |= {*node.body}
            if isinstance(node, FUNCTION):
                name = f".{node.name}" if node in methods else node.name
                self.functions.setdefault(name, []).append(node)
        self.constants = constants.at_the_top(self.tree.body)

    def asserts(self, function: Function) -> bool:
        """Say whether a function holds an assertion that is reached and can fail."""
        key = id(function)
        if key not in self._asserting:
            self._asserting[key] = False  # while it is asked: a circle proves nothing
            self._asserting[key] = _Reader(self, function).read(function.body).proved
        return self._asserting[key]


def asserting(trees: Iterable[ast.Module]) -> frozenset[str]:
    """Name the functions and .methods of shared files that assert something.

    A class has the name of its constructor's: `Running(...)` is its `__init__()`.
    """
    found = set()
    for tree in trees:
        scope = Scope(tree)
        for name, functions in scope.functions.items():
            if any(map(scope.asserts, functions)):
                found.add(name)
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and any(
                isinstance(inner, FUNCTION)
                and inner.name == "__init__"
                and scope.asserts(inner)
                for inner in node.body
            ):
                found.add(node.name)
    return frozenset(found - {".__init__"})


@dataclass
class _Read:
    """What some statements come to: proof, and whether they end the function."""

    proved: bool = False
    ends: str = ""  # "return", "skip" or "raise", where none after them is reached
    line: int = 0  # of what ends them
    constant: int = 0  # the line of an assertion that says nothing


class _Reader:
    """Reads a function's statements in the order in which they run."""

    def __init__(self, scope: Scope, function: Function) -> None:
        self.scope = scope
        self.names = constants.names(function, scope.constants)

    def read(self, statements: list[ast.stmt]) -> _Read:
        read = _Read()
        for statement in statements:
            here = self._one(statement)
            read.proved |= here.proved
            read.constant = read.constant or here.constant
            if here.ends:
                read.ends, read.line = here.ends, here.line
                break
        return read

    def _one(self, node: ast.stmt) -> _Read:
        if isinstance(node, (*FUNCTION, ast.ClassDef)):
            return _Read()  # counts where it is named
        if hasattr(node, "body") or isinstance(node, ast.Match):
            return self._several(node)
        match node:
            case ast.Assert():
                known = _is_something(node.test)
                known |= constants.value_of(node.test, self.names) is not UNKNOWN
                return _Read(not known, constant=node.lineno * known)
            case ast.Return():
                told = node.value is not None and self._tells(node.value)
                return _Read(proved=told, ends="return", line=node.lineno)
            case ast.Raise():
                return _Read(proved=_is_failure(node), ends="raise", line=node.lineno)
        skipped = isinstance(node, ast.Expr) and _of_pytest(node.value, {"skip"})
        return _Read(proved=self._tells(node), ends="skip" * skipped, line=node.lineno)

    def _several(self, node: ast.stmt) -> _Read:
        match node:
            case ast.If():
                return self._either(node)
            case ast.With() | ast.AsyncWith():
                return self._within(node)
            case ast.Try() | ast.TryStar():
                return self._tried(node)
            case ast.For() | ast.AsyncFor():
                return self._repeated(node, node.iter)
            case ast.While():
                return self._repeated(node, node.test)
            case ast.Match():
                read = [self.read(case.body) for case in node.cases]
                return _Read(any(each.proved for each in read))
        raise TypeError(node)

    def _either(self, node: ast.If) -> _Read:
        worth = constants.value_of(node.test, self.names)
        if worth is not UNKNOWN:
            return self.read(node.body if worth else node.orelse)
        one, other = self.read(node.body), self.read(node.orelse)
        proved = one.proved or other.proved or self._tells(node.test)
        both = one.ends if one.ends and other.ends else ""
        return _Read(proved, both, one.line, one.constant or other.constant)

    def _within(self, node: ast.With | ast.AsyncWith) -> _Read:
        heads = [item.context_expr for item in node.items]
        body = self.read(node.body)
        for head in heads:
            swallowed = _called(head) == "suppress" and _swallows(head)
            raised = _of_pytest(head, {"raises"}) and isinstance(
                node.body[0], ast.Raise
            )
            if swallowed or raised:
                return _Read(constant=node.lineno)
        body.proved |= any(map(self._tells, heads))
        return body

    def _tried(self, node: ast.Try | ast.TryStar) -> _Read:
        body = self.read(node.body)
        handled = [self.read(handler.body) for handler in node.handlers]
        for handler, read in zip(node.handlers, handled, strict=True):
            names = [] if handler.type is None else list(ast.walk(handler.type))
            every = handler.type is None or any(
                isinstance(each, ast.Name) and each.id in SWALLOWS for each in names
            )
            if every and not read.proved and read.ends != "raise":
                body.proved = False  # what is asserted there is swallowed here
        rest = self.read([*node.orelse, *node.finalbody])
        body.proved |= rest.proved or any(read.proved for read in handled)
        if node.handlers and not all(read.ends for read in handled):
            body.ends = ""
        return body

    def _repeated(
        self, node: ast.For | ast.AsyncFor | ast.While, over: ast.expr
    ) -> _Read:
        worth = constants.value_of(over, self.names)
        if worth is not UNKNOWN and not worth:
            return self.read(node.orelse)
        body, rest = self.read(node.body), self.read(node.orelse)
        proved = body.proved or rest.proved or self._tells(over)
        return _Read(proved, constant=body.constant)

    def _tells(self, node: ast.AST) -> bool:
        """Say whether something below a node asserts, or names what does."""
        for inner in ast.walk(node):
            if isinstance(inner, ast.Call) and _of_pytest(inner, ASSERTING):
                return True
            name = ""
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load):
                name = inner.id
            elif isinstance(inner, ast.Attribute):
                name = f".{inner.attr}"
            if name in self.scope.helpers:
                return True
            if any(map(self.scope.asserts, self.scope.functions.get(name, ()))):
                return True
        return False


def _is_something(node: ast.expr) -> bool:
    """Say whether a value is true by its kind: a tuple that is not empty, a lambda."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return bool(node.elts)
    if isinstance(node, ast.Dict):
        return bool(node.keys)
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(each, ast.Constant) for each in node.values)
    return isinstance(node, ast.Lambda | ast.GeneratorExp)


def _called(node: ast.AST) -> str:
    """Name what is called, without what it is an attribute of."""
    if not isinstance(node, ast.Call):
        return ""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _of_pytest(node: ast.AST, names: set[str]) -> bool:
    """Say whether a node calls one of these of pytest's."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in names
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "pytest"
    )


def _swallows(call: ast.AST) -> bool:
    return any(
        isinstance(inner, ast.Name) and inner.id in SWALLOWS for inner in ast.walk(call)
    )


def _is_failure(node: ast.Raise) -> bool:
    raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    return isinstance(raised, ast.Name) and raised.id in SWALLOWS


def faults(scope: Scope, test: Function) -> Iterator[Fault]:
    """Say why a claim's test cannot fail; nothing if it can."""
    excused = list(_excused(scope, test))
    yield from excused
    if excused or scope.asserts(test):
        return
    read = _Reader(scope, test).read(test.body)
    can_fail = "make it fail where the sentence is wrong"
    if read.ends == "skip":
        yield Fault(
            read.line,
            "the test is skipped on every Linux",
            "skip under a condition that some machine does not meet, or state the "
            "claim as cited()",
        )
    elif read.ends == "return" and _asserts_somewhere(test):
        yield Fault(read.line, "the test returns before it asserts anything", can_fail)
    elif read.constant:
        yield Fault(
            read.constant,
            "the test asserts only what is true whatever happens",
            "assert what the program under test did; " + can_fail,
        )
    else:
        yield Fault(
            test.lineno,
            "the test asserts nothing",
            "add an assert, pytest.raises() or a helper of the file or of "
            "tests/support/ that asserts; " + can_fail,
        )


def _asserts_somewhere(test: Function) -> bool:
    return any(
        isinstance(node, ast.Assert) or _of_pytest(node, ASSERTING)
        for node in ast.walk(test)
    )


def _excused(scope: Scope, test: Function) -> Iterator[Fault]:
    """Find what lets a test fail unnoticed, or never runs it."""
    for mark in _marks(scope, test):
        words = ast.unparse(mark)
        name = words.partition("(")[0]
        if name.endswith(".xfail"):
            yield _xfail(mark.lineno)
        elif name.endswith("mark.skip") or (
            name.endswith("mark.skipif")
            and isinstance(mark, ast.Call)
            and mark.args
            and constants.value_of(mark.args[0], scope.constants)
            not in (UNKNOWN, False, None, 0, "")
        ):
            yield Fault(
                mark.lineno,
                "the test is skipped on every Linux",
                "take the mark away, give it a condition that some machine does not "
                "meet, or state the claim as cited()",
            )
        elif name.endswith("parametrize") and isinstance(mark, ast.Call):
            values = mark.args[1] if len(mark.args) > 1 else None
            if isinstance(values, ast.List | ast.Tuple) and not values.elts:
                yield Fault(
                    mark.lineno,
                    "the test has no case, so pytest never runs it",
                    "give parametrize a case",
                )
    for node in ast.walk(test):
        if _of_pytest(node, {"xfail"}):
            yield _xfail(node.lineno)  # type: ignore[attr-defined]


def _xfail(line: int) -> Fault:
    return Fault(
        line,
        "the test is expected to fail, and its sentence would still be published",
        "take xfail away; where the sentence is wrong, correct the sentence",
    )


def _marks(scope: Scope, test: Function) -> Iterator[ast.expr]:
    """Yield the marks of a test: its own, those of its cases and of the whole file."""
    named = {
        target.id: statement.value
        for statement in scope.tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    whole = named.get("pytestmark")
    listed = whole.elts if isinstance(whole, ast.List | ast.Tuple) else [whole]
    for mark in [*test.decorator_list, *(each for each in listed if each is not None)]:
        resolved = named.get(mark.id, mark) if isinstance(mark, ast.Name) else mark
        yield resolved
        if isinstance(resolved, ast.Call):
            for keyword in (
                n for n in ast.walk(resolved) if isinstance(n, ast.keyword)
            ):
                if keyword.arg == "marks":
                    yield keyword.value
