"""What an expression is worth, as far as the file itself says: constants, folded.

Names count that are bound once, to a value that cannot change. The platform counts
as Linux, where the tests must prove what they claim.
"""

from __future__ import annotations

import ast
import builtins
import operator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

UNKNOWN = object()
"""The worth of what only a run can tell."""

Names = dict[str, object]
PLATFORM = {
    "sys.platform": "linux",
    "os.name": "posix",
    "platform.system()": "Linux",
    "TYPE_CHECKING": False,
    "typing.TYPE_CHECKING": False,
}
PURE = {
    *("abs", "all", "any", "bool", "bytes", "float", "int", "isinstance", "len"),
    *("max", "min", "repr", "round", "sorted", "str", "sum", "tuple"),
}
OPERATORS: dict[type, Callable[..., object]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda one, other: one in other,
    ast.NotIn: lambda one, other: one not in other,  # codespell:ignore notin
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
LONG = 10_000  # characters: nothing is multiplied beyond


def bound(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    """Yield each binding of a name below a node, with its value where it is plain."""
    plain = set()
    for inner in ast.walk(node):
        for name, value in _assigned(inner):
            plain.add(name)
            yield name.id, value
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store | ast.Del):
            if inner not in plain:
                yield inner.id, None
        else:
            yield from ((name, None) for name in _named(inner))


def _assigned(node: ast.AST) -> Iterator[tuple[ast.Name, ast.expr]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _pairs(target, node.value)
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        yield from _pairs(node.target, node.value)


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[ast.Name, ast.expr]]:
    """Yield the names that an assignment binds, with what each gets."""
    if isinstance(target, ast.Name):
        yield target, value
    elif (
        isinstance(target, ast.Tuple)
        and isinstance(value, ast.Tuple)
        and len(target.elts) == len(value.elts)
    ):
        for one, other in zip(target.elts, value.elts, strict=True):
            yield from _pairs(one, other)


def _named(node: ast.AST) -> list[str]:
    """Name what a node binds otherwise than by assigning."""
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [each.asname or each.name.partition(".")[0] for each in node.names]
    return []


def names(node: ast.AST, outer: Names | None = None) -> Names:
    """Give the names below a node that are bound once, to a constant.

    `outer` are those around it; what is bound here hides them.
    """
    values: dict[str, list[ast.expr | None]] = {}
    for name, value in bound(node):
        values.setdefault(name, []).append(value)
    known = {key: value for key, value in (outer or {}).items() if key not in values}
    return _once(values, known)


def at_the_top(statements: list[ast.stmt]) -> Names:
    """Give the constants of a file or class, without those within its functions."""
    within = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    values: dict[str, list[ast.expr | None]] = {}
    for statement in statements:
        if not isinstance(statement, within):
            for name, value in bound(statement):
                values.setdefault(name, []).append(value)
    return _once(values, {})


def _once(values: dict[str, list[ast.expr | None]], known: Names) -> Names:
    for name, found in values.items():
        value = found[0]
        if len(found) == 1 and value is not None and not _grows_later(value):
            worth = value_of(value, known)
            if isinstance(worth, str | bytes | int | float | tuple | None):
                known[name] = worth
    return known


def _grows_later(value: ast.expr) -> bool:
    """Say whether a value can be changed in place: what it began as says nothing."""
    return any(isinstance(inner, ast.List) for inner in ast.walk(value))


def value_of(node: ast.expr, known: Names) -> object:
    """Say what an expression is worth, or `UNKNOWN`."""
    if isinstance(node, ast.Name | ast.Attribute | ast.Call):
        told = PLATFORM.get(ast.unparse(node), UNKNOWN)
        if told is not UNKNOWN:
            return told
    try:
        return _worth(node, known)
    except Exception:  # noqa: BLE001 - whatever it raises, the run raises it, too
        return UNKNOWN


def _worth(node: ast.expr, known: Names) -> object:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name() | ast.Attribute():
            return known.get(ast.unparse(node), UNKNOWN)
        case ast.Tuple() | ast.List():
            values = _all(node.elts, known)
            return UNKNOWN if values is None else tuple(values)
        case ast.Call():
            return _called(node, known)
    return _result(node, known)


def _result(node: ast.expr, known: Names) -> object:
    match node:
        case ast.UnaryOp():
            return _applied(node.op, [node.operand], known)
        case ast.BinOp():
            return _applied(node.op, [node.left, node.right], known)
        case ast.BoolOp():
            return _joined(node, known)
        case ast.Compare():
            return _compared(node, known)
    return UNKNOWN


def _all(nodes: list[ast.expr], known: Names) -> list[object] | None:
    """Give what each is worth; None if of one that is unknown."""
    values = [value_of(each, known) for each in nodes]
    return None if any(each is UNKNOWN for each in values) else values


def _applied(by: ast.AST, nodes: list[ast.expr], known: Names) -> object:
    values = _all(nodes, known)
    if values is None or type(by) not in OPERATORS or _grows(by, values):
        return UNKNOWN
    return OPERATORS[type(by)](*values)


def _grows(by: ast.AST, values: list[object]) -> bool:
    """Say whether `b"x" * 10**9` and the like would be made, only to be asked for."""
    numbers = [each for each in values if isinstance(each, int | float)]
    many = any(each > LONG for each in numbers)
    return isinstance(by, ast.Mult) and many and len(numbers) < len(values)


def _joined(node: ast.BoolOp, known: Names) -> object:
    values = [value_of(each, known) for each in node.values]
    for value in values:
        if value is not UNKNOWN and bool(value) is isinstance(node.op, ast.Or):
            return value  # one true side decides an `or`, one false side an `and`
    return UNKNOWN if any(each is UNKNOWN for each in values) else values[-1]


def _compared(node: ast.Compare, known: Names) -> object:
    if len(node.ops) != 1:
        sides = [node.left, *node.comparators]
        parts = [
            value_of(ast.Compare(one, [by], [other]), known)
            for one, by, other in zip(sides, node.ops, sides[1:], strict=False)
        ]
        if any(part is False for part in parts):
            return False
        return UNKNOWN if any(part is UNKNOWN for part in parts) else all(parts)
    one, other = node.left, node.comparators[0]
    alike = isinstance(node.ops[0], ast.Eq | ast.Is | ast.LtE | ast.GtE)
    if alike and _still(one) and ast.dump(one) == ast.dump(other):
        return True  # x == x
    sized = isinstance(one, ast.Call) and ast.unparse(one.func) == "len"
    if sized and isinstance(node.ops[0], ast.GtE) and value_of(other, known) == 0:
        return True  # len(x) >= 0
    return _applied(node.ops[0], [one, other], known)


def _still(node: ast.expr) -> bool:
    """Say whether an expression asks nobody: names and attributes, no call."""
    return not any(
        isinstance(inner, ast.Call | ast.Await | ast.NamedExpr | ast.Yield)
        for inner in ast.walk(node)
    )


def _called(node: ast.Call, known: Names) -> object:
    values = _all(node.args, known)
    if values is None or node.keywords:
        return UNKNOWN
    match node.func:
        case ast.Name(id=name) if name in PURE and name not in known:
            worth: object = getattr(builtins, name)(*values)
            return tuple(worth) if isinstance(worth, list) else worth
        case ast.Attribute(attr="startswith", value=owner):
            text = value_of(owner, known)
            if isinstance(text, str):
                return text.startswith(*values)  # type: ignore[arg-type]
    return UNKNOWN
