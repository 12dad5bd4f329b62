"""The same trace as an animated GIF, for pages on which no script runs."""
from .grids import layout_grids
from .maps import layout_maps, layout_stack
from .path import layout_path
from .pictures import layout_pictures
from .style import (
    CAPTION,
    INK,
    LETTER_SIZE,
    MARGIN,
    PAPER,
    TEXT_LINE,
    WRITTEN_EDGE,
    load_font,
    make_pen,
    wrap_text,
)

# milliseconds
FRAME_TIME = 700
LAST_FRAME_TIME = 2500
COLOURS = 64                # of the palette
COLOURS_OF_PICTURES = 256

# of each kind the function that says how large a drawing is, and that draws frame n of it
LAYOUTS = dict(grid=layout_grids, alignment=layout_maps, stack=layout_stack,
               images=layout_pictures, descent=layout_path)


def write_gif(path, trace):
    """Draw every frame, and write all of them with one palette."""
    images = draw_frames(trace)
    is_plain = trace['kind'] in ('grid', 'descent')
    frames = quantize(images, COLOURS if is_plain else COLOURS_OF_PICTURES)
    durations = [FRAME_TIME] * (len(frames) - 1) + [LAST_FRAME_TIME]
    frames[0].save(path, save_all=True, append_images=frames[1:], loop=0, optimize=True,
                   duration=durations)


def draw_frames(trace):
    """-> a list of RGB images: the title, the drawing, and the caption below it"""
    from PIL import Image
    width, height, draw = LAYOUTS[trace['kind']](trace)
    font = load_font('DejaVuSansMono')
    title_font = load_font('DejaVuSans-Bold', LETTER_SIZE + 2)
    width = max(width, round(title_font.getlength(trace['title'])) + 2 * MARGIN)
    captions = [wrap_text(frame['caption'], font, width - 3 * MARGIN) for frame in trace['frames']]
    caption_height = TEXT_LINE * max(map(len, captions)) + 12
    caption_top = height + 2 * MARGIN + TEXT_LINE

    images = []
    for n, lines in enumerate(captions):
        size = width, caption_top + caption_height + MARGIN
        image = Image.new('RGB', size, PAPER)
        pen = make_pen(image)
        pen.text((MARGIN, MARGIN + 8), trace['title'], INK, title_font, 'lm')
        draw(image, n, MARGIN + TEXT_LINE + 8)
        bottom = caption_top + caption_height
        pen.rectangle((MARGIN, caption_top, width - MARGIN, bottom), CAPTION)
        pen.rectangle((MARGIN, caption_top, MARGIN + 3, bottom), WRITTEN_EDGE)
        for i, line in enumerate(lines):
            middle = caption_top + 6 + TEXT_LINE * (i + .5)
            pen.text((MARGIN + 14, middle), line, INK, font, 'lm')
        images.append(image)
    return images


def quantize(images, count):
    """All images in one palette of `count` colours, made from the first, a middle and the last."""
    from PIL import Image
    width, height = images[0].size
    sample = Image.new('RGB', (width, 3 * height))
    for i, n in enumerate((0, len(images) // 2, len(images) - 1)):
        sample.paste(images[n], (0, i * height))
    palette = sample.quantize(count)
    return [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
