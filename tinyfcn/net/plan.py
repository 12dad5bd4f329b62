"""A plan: how a net runs for one size of image, worked out once and then only followed.

    make_plan(net, size, train)                 a step for each box, as `walk` takes them
    make_plan(net, size, train, fused=True)     fewer steps, with the same values

Two boxes are fused where only the second reads the value of the first, and `until` does not ask for
that value.

    conv, then relu         one step; what comes before ReLU is never written
    upsample, then crop     one step; the pixels that are cut away are never computed
    concat of such convs    each writes its own channels of the result, and nothing is copied
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from .. import ops
from ..geometry import Size
from ..ops.fused import conv_relu, join, upsample_crop
from .box import Box
from .graph import Graph, as_list

FUSED_OPS = {(ops.conv2d, ops.relu): conv_relu, (ops.upsample, ops.crop): upsample_crop}

MAX_PLANS = 100         # of one net: as many sizes of images, with and without training


class Step(NamedTuple):
    """An op, with the names of the arrays that it reads."""

    name: str                   # of the value that it computes
    box: Box                    # of two that are fused, the first
    op: Any
    kwargs: dict[str, Any]      # its other arguments, as far as they are known before a run
    reads: list[str]            # all its arrays, in order
    # where the value is written: the name of a concat, and its channels from … to
    part: tuple[str, int, int] | None = None


class Plan(NamedTuple):
    """The steps of a forward pass, in order; backward takes them in reverse."""

    steps: list[Step]
    outputs: list[str]                  # the values that no step reads
    sizes: dict[str, Size]              # of every box
    last_reads: dict[str, list[str]]    # by step: the values that no later step reads
    needs_grad: set[str]                # names of boxes and weights
    wants: dict[str, list[bool]]        # by step: whether the gradient of each array is needed


def make_plan(net: Graph, size: Size, train: bool, keep: bool = False,
              until: str | Iterable[str] | None = None, fused: bool = False) -> Plan:
    """The steps that `until` needs, one name or several, or those of the whole net."""
    route = net.route(train, until)
    sizes = net.sizes(size, train, until)
    needs_grad = net.find_grad_names(keep)
    asked_for = {*as_list(until)}
    steps = [Step(box.name, box, box.op, _kwargs(box, train, sizes, needs_grad), box.reads)
             for box in route]
    if fused:
        steps = _write_in_parts(_fuse_pairs(steps, asked_for), net)

    readers = [(name, step.name) for step in steps for name in step.box.inputs]
    last_reader = dict(readers)             # a later reader replaces an earlier one
    last_reads: dict[str, list[str]] = {step.name: [] for step in steps}
    for name, reader in last_reader.items():
        if name not in asked_for:
            last_reads[reader].append(name)
    overwritable = set() if keep else _overwritable(net, readers) - asked_for
    for step in steps:
        if 'overwrite' in step.box.flags:
            step.kwargs['overwrite'] = step.box.inputs[0] in overwritable
    outputs = [step.name for step in steps if step.name not in last_reader]
    wants = {step.name: [name in needs_grad for name in step.reads] for step in steps}
    return Plan(steps, outputs, sizes, last_reads, needs_grad, wants)


def _kwargs(box: Box, train: bool, sizes: dict[str, Size],
            needs_grad: set[str]) -> dict[str, Any]:
    """The arguments of the op beside its arrays."""
    kwargs = dict(box.kwargs)
    if box.like:
        kwargs['size'] = sizes[box.like]
    if 'train' in box.flags:
        kwargs['train'] = train
    if box.op is ops.batch_norm and not any(f'{box.name}.{w}' in needs_grad for w in box.weights):
        kwargs['frozen'] = True
    return kwargs


def _overwritable(net: Graph, readers: Iterable[tuple[str, str]]) -> set[str]:
    """The values that their only reader may overwrite, as ReLU does to save a copy.

    Overwriting is safe when nothing else needs the value afterwards:
    1. exactly one box reads it, so no other box finds it changed;
    2. the box that made it has weights (a convolution, batch norm, …): such ops cache their
       input, never their output, so their backward does not need it either. An op without
       weights may have cached its output or return a view of its input;
    3. `keep` is off and `until` does not ask for it (the caller takes care of both).
    """
    times_read = Counter(name for name, _ in readers)
    return {name for name, count in times_read.items() if count == 1 and name in net.boxes
            and net.boxes[name].weights}


# ---- Fewer steps

def _fuse_pairs(steps: list[Step], asked_for: set[str]) -> list[Step]:
    """One step for two that follow each other, where only the second reads the first's value."""
    times_read = Counter(name for step in steps for name in step.box.inputs)
    by_name = {step.name: step for step in steps}
    for second in steps:
        name = second.box.inputs[0]
        first = by_name.get(name)
        op = FUSED_OPS.get((first.op, second.op)) if first else None
        if first and op and times_read[name] == 1 and name not in asked_for:
            del by_name[name]
            by_name[second.name] = Step(second.name, first.box, op,
                                        {**first.kwargs, **second.kwargs}, first.reads)
    return [by_name[step.name] for step in steps if step.name in by_name]


def _write_in_parts(steps: list[Step], net: Graph) -> list[Step]:
    """Where all that a concat reads can be written into parts of it, it has nothing to copy."""
    by_name = {step.name: step for step in steps}
    for concat in steps:
        inputs = concat.box.inputs
        if concat.op is not ops.concat or len({*inputs}) < len(inputs) or not all(
                name in by_name and by_name[name].op is conv_relu and not by_name[name].part
                for name in inputs):
            continue
        start = 0
        for name in inputs:
            stop = start + net[name].channels
            by_name[name] = by_name[name]._replace(part=(concat.name, start, stop))
            start = stop
        by_name[concat.name] = concat._replace(op=join, part=(concat.name, 0, start))
    return [by_name[step.name] for step in steps]


# ---- Plans are kept

class Plans:
    """The plans of a net, and of its copies, each made when it is first needed."""

    def __init__(self) -> None:
        self.kept: dict[Any, Plan] = {}

    def find(self, net: Graph, size: Size, train: bool, until: str | Iterable[str] | None,
             ) -> Plan:
        """The plan for these arguments, and for the boxes and frozen weights that the net has."""
        key = *net.boxes.values(), size, train, str((as_list(until), net.frozen))
        plan = self.kept.get(key)
        if plan is None:
            plan = make_plan(net, size, train, until=until, fused=True)
            if len(self.kept) >= MAX_PLANS:
                self.kept.clear()
            self.kept[key] = plan
        return plan

    def __copy__(self) -> Plans:
        return self

    def __reduce__(self) -> Any:
        """What is saved or sent to another process makes its own."""
        return Plans, ()
