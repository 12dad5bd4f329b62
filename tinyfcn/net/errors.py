"""What an error of an op does not know itself: whose box it was, and where that is explained."""

# the lesson of the course that explains an op, by its name
LESSONS = {
    'conv2d': '02', 'conv_transpose2d': '07', 'upsample': '08', 'resize': '08', 'crop': '09',
    **dict.fromkeys(['max_pool', 'max_switches', 'take', 'unpool'], '06'),
    **dict.fromkeys(['add', 'concat', 'scale'], '11'), 'avg_pool_to': '17',
}


def with_context(error, box, given):
    """The message of an op, with the line of the figure that asked for it and what it was given."""
    given = ', '.join(f'{name} {tuple(shape)}' for name, shape in given.items())
    lesson = LESSONS.get(box.op.__name__)
    return (f'{error}\n  in     {box.line}\n  given  {given}'
            + f'\n  see    lesson {lesson}' * bool(lesson))
