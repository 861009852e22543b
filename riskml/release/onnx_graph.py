"""The model of a release as an ONNX graph that computes in double precision, as riskml does.

In goes a loaded release; out comes a ``ModelProto`` with one input per feature of the model (numbers as doubles with
NaN for null, categories as texts) and the outputs ``margin``, ``probability`` and ``action``. Numbers are rounded to
float32 once, categories looked up as texts, so that neither a float32 threshold nor a fractional code can go wrong.
Refuses models that ONNX trees cannot say. Needs the ``onnx`` extra.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from riskml.errors import ReleaseError
from riskml.learning.calibration import EDGE, Calibrator
from riskml.learning.schema import CATEGORY, NULL
from riskml.learning.tree_arrays import CATEGORY as IS_CATEGORY
from riskml.learning.tree_arrays import DEFAULT_LEFT, NAN_MISSING, ZERO_MISSING, Trees
from riskml.learning.tree_walk import TINY
from riskml.release.inputs import null_numbers
from riskml.release.load import Release

__all__ = ["HASHED", "OUTPUTS", "SCHEMA", "input_name", "model_of"]

SCHEMA = "riskml.onnx/1"
OUTPUTS = ("margin", "probability", "action")
HASHED = ".sha256"  # ends the name of an input that brings hashes of texts
OPSETS = {"": 18, "ai.onnx.ml": 5}  # trees in double precision with sets of categories since ai.onnx.ml 5
IR = 10
LEQ, EQUAL, MEMBER = 0, 4, 6  # modes of a node
NOWHERE = -1.0  # no category has this code

Array = NDArray[Any]


def model_of(release: Release) -> Any:
    """The ``ModelProto`` of a release.

    Raises:
        ReleaseError: the model holds what ONNX trees cannot say.
    """
    from onnx import helper

    model = release.scorer.model
    graph = _Graph()
    margin = _margins(graph, _encoded(graph, release), release.scorer.forest.trees)
    probability = _probability(graph, margin, model.calibrator)
    reached = graph.op("GreaterOrEqual", margin, graph.const(np.float64(model.threshold)))
    action = graph.op("Where", reached, graph.const(_texts("alert")), graph.const(_texts("allow")))
    for made, name in zip((margin, probability, action), OUTPUTS, strict=True):
        graph.nodes.append(helper.make_node("Identity", [made], [name]))
    body = helper.make_graph(graph.nodes, "riskml", graph.inputs, _outputs(), graph.constants)
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
    made = helper.make_model(body, opset_imports=opsets, ir_version=IR, producer_name="riskml")
    made.doc_string = "Scores one event per row: give every input as a column; nulls are NaN, or the text (null)."
    told = {
        "riskml.schema": SCHEMA,
        "riskml.release": release.id,
        "riskml.stage": release.stage,
        "riskml.plan": model.plan.digest,
        "riskml.null": NULL,
        "riskml.threshold": repr(model.threshold),
    }
    helper.set_model_props(made, told)
    return made


def input_name(release: Release, feature: str) -> str:
    """The input that brings a feature."""
    return feature + HASHED if feature in release.scorer.model.schema.hashed else feature


class _Graph:
    """Nodes, constants and inputs as they are added; every value has a name of its own."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs: list[Any] = []

    def op(self, kind: str, *given: str, **attributes: Any) -> str:
        """One operator; the name of its only output."""
        from onnx import helper

        name = f"riskml.{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(given), [name], **attributes))
        return name

    def const(self, value: Any) -> str:
        """A constant; its name."""
        from onnx import numpy_helper

        name = f"riskml.c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def column(self, name: str, text: bool, words: str) -> str:
        """An input [rows, 1]."""
        from onnx import TensorProto, helper

        kind = TensorProto.STRING if text else TensorProto.DOUBLE
        self.inputs.append(helper.make_tensor_value_info(name, kind, ["rows", 1], doc_string=words))
        return name


def _outputs() -> list[Any]:
    from onnx import TensorProto, helper

    kinds = (TensorProto.DOUBLE, TensorProto.DOUBLE, TensorProto.STRING)
    return [helper.make_tensor_value_info(name, kind, ["rows"]) for name, kind in zip(OUTPUTS, kinds, strict=True)]


def _encoded(graph: _Graph, release: Release) -> str:
    """The rows that the trees read [rows, features]: the schema, said in ONNX."""
    schema = release.scorer.model.schema
    nulls = {field.name: field.nulls for field in release.scorer.inputs.fields}
    columns = []
    for name in schema.names:
        words = nulls.get(name, ())
        if schema.kinds[name] == CATEGORY:
            columns.append(_codes(graph, release, name, words))
            continue
        made = graph.column(name, False, "number; NaN is null")
        for number in null_numbers(words):
            gone = graph.op("Equal", made, graph.const(np.float64(number)))
            made = graph.op("Where", gone, graph.const(np.float64("nan")), made)
        columns.append(made)
    whole = graph.op("Concat", *columns, axis=1)
    single = graph.op("Cast", graph.op("Cast", whole, to=1), to=11)
    finite = graph.op("Where", graph.op("IsInf", single), graph.const(np.float64("nan")), single)
    near = graph.op("LessOrEqual", graph.op("Abs", finite), graph.const(np.float64(TINY)))
    return graph.op("Where", near, graph.const(np.float64(0.0)), finite)


def _codes(graph: _Graph, release: Release, name: str, nulls: Sequence[str]) -> str:
    """A category as its code; NaN where the model does not know it."""
    from onnx import numpy_helper

    schema = release.scorer.model.schema
    known = schema.categories[name]
    if NULL in known:
        raise ReleaseError(f"`{name}` has a category `{NULL}`, which is how ONNX hears of null", "rename the category")
    hashed = name in schema.hashed
    words = f"text, as sha256: and 16 hex digits of its SHA-256; {NULL} is null" if hashed else f"text; {NULL} is null"
    given = graph.column(input_name(release, name), True, words)
    table = {text: float(code) for code, text in enumerate(known)}
    table |= dict.fromkeys((NULL, *nulls), schema.absent[name])
    return graph.op(
        "LabelEncoder",
        given,
        domain="ai.onnx.ml",
        keys_tensor=numpy_helper.from_array(_texts(*table), "keys"),
        values_tensor=numpy_helper.from_array(np.array(list(table.values()), np.float64), "values"),
        default_tensor=numpy_helper.from_array(np.array([np.nan]), "default"),
    )


def _margins(graph: _Graph, rows: str, trees: Trees) -> str:
    """The mean of the boosters [rows], added in the order in which riskml adds them."""
    if (trees.decision & ZERO_MISSING).any():
        raise ReleaseError("the model reads zero as missing, which ONNX trees cannot say", "train without it")
    total, first = "", 0
    for size in trees.size.tolist():
        if size:
            made = graph.op("TreeEnsemble", rows, domain="ai.onnx.ml", **_ensemble(trees, first, first + size))
            total = graph.op("Add", total, made) if total else made
        first += size
    if not total:
        raise ReleaseError("the model has no tree", "train again")
    mean = graph.op("Div", total, graph.const(np.float64(len(trees.size))))
    return graph.op("Reshape", mean, graph.const(np.array([-1], np.int64)))


def _ensemble(trees: Trees, first: int, last: int) -> dict[str, Any]:
    """The attributes of one booster, trees ``first`` to ``last``.

    A tree that is nothing but a leaf becomes a node with that leaf on both sides.
    """
    from onnx import numpy_helper

    nodes = slice(int(trees.first_node[first]), int(trees.first_node[last]))
    low, high = int(trees.first_leaf[first]), int(trees.first_leaf[last])
    bare = np.flatnonzero(trees.roots[first:last] < 0)
    count = nodes.stop - nodes.start
    child = trees.children[nodes]
    leaf = child < 0
    place = np.where(leaf, ~child - low, child - nodes.start)
    alone = (~trees.roots[first:last][bare] - low)[:, None].repeat(2, axis=1)
    place, leaf = np.concatenate([place, alone]), np.concatenate([leaf, np.ones_like(alone, dtype=bool)])
    roots = trees.roots[first:last] - nodes.start
    roots[bare] = count + np.arange(len(bare))
    modes, splits, members, left = _decisions(trees, nodes)
    more = np.zeros(len(bare), np.int64)

    def tensor(values: Any, kind: type) -> Any:
        return numpy_helper.from_array(np.asarray(values, dtype=kind), "values")

    found: dict[str, Any] = {
        "aggregate_function": 1,
        "n_targets": 1,
        "post_transform": 0,
        "tree_roots": roots.tolist(),
        "nodes_featureids": [*trees.feature[nodes].tolist(), *more.tolist()],
        "nodes_modes": tensor([*modes, *more + LEQ], np.uint8),
        "nodes_splits": tensor([*splits, *more], np.float64),
        "nodes_missing_value_tracks_true": [*left, *more.tolist()],
        "nodes_truenodeids": place[:, 0].tolist(),
        "nodes_trueleafs": leaf[:, 0].astype(int).tolist(),
        "nodes_falsenodeids": place[:, 1].tolist(),
        "nodes_falseleafs": leaf[:, 1].astype(int).tolist(),
        "leaf_targetids": [0] * (high - low),
        "leaf_weights": tensor(trees.value[low:high], np.float64),
    }
    return found | ({"membership_values": tensor(members, np.float64)} if members else {})


def _decisions(trees: Trees, nodes: slice) -> tuple[list[int], list[float], list[float], list[int]]:
    """Of each node: its mode, its split, the categories that go left (each set ended by NaN), where NaN goes."""
    modes, splits, members, left = [], [], [], []
    for node in range(nodes.start, nodes.stop):
        decision, split = int(trees.decision[node]), float(trees.threshold[node])
        if decision & IS_CATEGORY:
            words = trees.bits[trees.first_word[node] : trees.first_word[node + 1]]
            codes = np.flatnonzero(np.unpackbits(words.astype("<u4").view(np.uint8), bitorder="little")).tolist()
            modes.append(MEMBER if codes else EQUAL)
            splits.append(0.0 if codes else NOWHERE)
            left.append(0)
            members += [*map(float, codes), np.nan] if codes else []
        else:
            goes = decision & DEFAULT_LEFT if decision & NAN_MISSING else split >= 0.0  # else NaN is read as zero
            modes.append(LEQ)
            splits.append(split)
            left.append(int(bool(goes)))
    return modes, splits, members, left


def _probability(graph: _Graph, margin: str, curve: Calibrator) -> str:
    """The calibrated probability [rows]."""

    def number(value: float) -> str:
        return graph.const(np.float64(value))

    if curve.kind == "isotonic":
        found = _steps(graph, margin, np.asarray(curve.knots, dtype=np.float64))
    else:
        if curve.kind == "platt":
            z = graph.op("Mul", number(curve.slope), margin)
        else:
            low = graph.op("Neg", _softplus(graph, graph.op("Neg", margin)))
            parts = [
                graph.op("Mul", number(slope), part)
                for slope, part in zip(curve.slopes, (low, _softplus(graph, margin)), strict=True)
            ]
            z = graph.op("Add", *parts)
        half = graph.op("Mul", number(0.5), graph.op("Add", z, number(curve.intercept)))
        found = graph.op("Mul", number(0.5), graph.op("Add", number(1.0), graph.op("Tanh", half)))
    if curve.reported < 1:
        found = graph.op("Div", found, number(curve.reported))
    return graph.op("Min", graph.op("Max", found, number(EDGE)), number(1 - EDGE))


def _softplus(graph: _Graph, x: str) -> str:
    """log(1 + exp(x)) without overflow."""
    one, zero = graph.const(np.float64(1.0)), graph.const(np.float64(0.0))
    small = graph.op("Exp", graph.op("Neg", graph.op("Abs", x)))
    return graph.op("Add", graph.op("Max", x, zero), graph.op("Log", graph.op("Add", one, small)))


def _steps(graph: _Graph, margin: str, knots: Array) -> str:
    """Linear between the knots [k, 2] and level beyond them."""
    x, y = knots.T
    last = len(x) - 1
    run = np.diff(x)
    slope = np.append(np.divide(np.diff(y), run, out=np.zeros_like(run), where=run > 0), 0.0)
    column = graph.op("Reshape", margin, graph.const(np.array([-1, 1], np.int64)))
    reached = graph.op("Cast", graph.op("GreaterOrEqual", column, graph.const(x[None, :])), to=7)
    count = graph.op("ReduceSum", reached, graph.const(np.array([1], np.int64)), keepdims=0)
    below = graph.op("Max", graph.op("Sub", count, graph.const(np.int64(1))), graph.const(np.int64(0)))
    start, height, rise = (graph.op("Gather", graph.const(values), below) for values in (x, y, slope))
    ahead = graph.op("Max", graph.op("Sub", margin, start), graph.const(np.float64(0.0)))
    value = graph.op("Add", graph.op("Mul", rise, ahead), height)
    above = graph.op("Min", count, graph.const(np.int64(last)))
    return graph.op("Min", value, graph.op("Gather", graph.const(y), above))


def _texts(*words: str) -> Array:
    return np.array(words if len(words) != 1 else [words[0]], dtype=object)
