"""The kernels for ARM, without an ARM: four lanes and 32 registers.

What they compute is tested on this CPU, with four lanes. Their speed was not measured, but
LLVM translates a tile for any CPU, so that one sees whether its sums stay in registers.
"""
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.compiled
ROOT = Path(__file__).parents[2]
AS_ON_ARM = "import platform; platform.machine = lambda: 'aarch64'\n"

TRANSLATE = AS_ON_ARM + r'''
import re
from types import SimpleNamespace
import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from tinyfcn.kernels.cpu import simd, tile

llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()
target = llvm.Target.from_triple('aarch64-unknown-linux-gnu')
machine = target.create_target_machine(cpu='neoverse-n1', opt=3)


def assembly(rows, vectors, adds_to_y):
    """Of a function that is one tile."""
    sizes = [types.literal(size) for size in (rows, vectors, adds_to_y)]
    signature, emit = tile.tile._defn(None, *sizes, *[types.intp] * 12)
    kinds = [simd.FLOAT if kind == types.float32 else simd.SIZE for kind in signature.args[3:]]
    module = ir.Module('tile')
    module.data_layout = str(machine.target_data)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), 'tile')
    b = ir.IRBuilder(function.append_basic_block())
    emit(SimpleNamespace(get_dummy_value=lambda: None), b, signature, [*sizes, *function.args])
    b.ret_void()
    code = llvm.parse_assembly(str(module))
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(code, passes)
    return machine.emit_assembly(code)


def inner_loops(text):
    """The instructions of each block that multiplies and jumps back to its own beginning."""
    parts = re.split(r'^(\.LBB\d+_\d+):.*$', text, flags=re.M)
    for label, block in zip(parts[1::2], parts[2::2]):
        jump = re.search(rf'^\tb\S*\t(?:.*, )?{re.escape(label)}$', block, re.M)
        if jump and 'fmla' in block:
            yield re.findall(r'^\t([a-z].*)$', block[:jump.end()], re.M)


assert (simd.LANES, simd.REGISTERS) == (4, 32)
for rows, vectors in tile.SHAPES:
    for adds_to_y in 0, 1:
        loops = [*inner_loops(assembly(rows, vectors, adds_to_y))]
        assert loops, f'{rows}×{vectors}: no multiply-adds'
        for lines in loops:
            products = sum(line.startswith('fmla') for line in lines)
            assert products and products % (rows * vectors) == 0, lines
            assert not any('[sp' in line for line in lines), f'{rows}×{vectors}: sums are spilled'
'''


def run(script, *args, **environment):
    done = subprocess.run([sys.executable, '-c', script, *args], cwd=ROOT, text=True, timeout=600,
                          capture_output=True, env={**os.environ, **environment})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_the_sums_of_a_tile_stay_in_registers():
    run(TRANSLATE)


def test_the_kernels_with_four_lanes(tmp_path):
    pytest.importorskip('tinyfcn.kernels.cpu.simd', exc_type=ImportError)
    tests = sorted(map(str, Path(__file__).parent.glob('test_cpu_*.py')))
    run(AS_ON_ARM + 'import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))', '-q', *tests,
        'tests/ops/test_not_finite.py', NUMBA_CACHE_DIR=str(tmp_path))
