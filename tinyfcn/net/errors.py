"""Context for the error of an op: its box, its inputs, and the lesson that explains it."""
from collections.abc import Mapping, Sequence

from .box import Box

# the lesson of the course that explains an op, by the op's name
LESSONS = {
    'conv2d': '02', 'conv_transpose2d': '08', 'upsample': '09', 'resize': '09', 'crop': '10',
    **dict.fromkeys(['max_pool', 'max_switches', 'take', 'unpool'], '07'),
    **dict.fromkeys(['add', 'concat', 'scale'], '12'), 'avg_pool_to': '19',
}


def with_context(error: Exception, box: Box, inputs: Mapping[str, Sequence[int]]) -> str:
    """The op's message, the line of the model that made the box, and the shapes of its inputs."""
    given = ', '.join(f'{name} {tuple(shape)}' for name, shape in inputs.items())
    lines = [str(error), f'  in     {box.line}', f'  given  {given}']
    if box.op.__name__ in LESSONS:
        lines.append(f'  see    lesson {LESSONS[box.op.__name__]}')
    return '\n'.join(lines)
