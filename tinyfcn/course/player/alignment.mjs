// Draws lines of points over the pixels of an image: a part of the module that page.py joins.

const LINE = 58                                     // pixels: between two lines
const DOT = 8                                       // size of a point
const SIDE = 14                                     // space at the left and the right

// -> a function that paints frame `index`; dragging calls show(index) of the player
function draw(stage, trace, { show }) {
  const { lines, extent: [low, high], drag } = trace
  const dragged = lines.find(line => line.name === drag)
  const svg = append(stage, 'svg', { class: 'alignment', role: 'img', 'aria-label': trace.title })
  const tall = lines.length * LINE + 26
  const y = i => 40 + i * LINE
  let scale = 1, dragging = false
  const x = pixel => SIDE + (pixel - low + .5) * scale

  // to the point that is nearest to the pointer
  const follow = event => {
    if (!dragging) return
    const pixel = (event.clientX - svg.getBoundingClientRect().left - SIDE) / scale + low - .5
    const distances = dragged.points.map(point => Math.abs(point - pixel))
    show(distances.indexOf(Math.min(...distances)))
  }
  if (dragged) {
    svg.onpointerdown = event => {
      dragging = true
      svg.setPointerCapture(event.pointerId)
      follow(event)
    }
    svg.onpointermove = follow
    svg.onpointerup = svg.onpointercancel = () => { dragging = false }
  }

  return index => {
    const { highlight = {}, spans = {} } = trace.frames[index]
    const wide = stage.clientWidth || 600
    scale = (wide - 2 * SIDE) / (high - low + 1)
    svg.setAttribute('viewBox', `0 0 ${wide} ${tall}`)
    svg.replaceChildren()
    drawImage()
    drawCones(spans)
    lines.forEach((line, i) => drawLine(line, i, spans[line.name], wide))
    drawLink(highlight)
  }

  // The band of the image behind all lines, and its pixel numbers.
  function drawImage() {
    const [image] = lines
    const first = image.points[0], last = image.points.at(-1)
    append(svg, 'rect', { class: 'image', x: x(first - .5), width: scale * (last - first + 1),
                          y: 18, height: tall - 18, rx: 4 })
    const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
    const step = steps.find(s => s * scale > 44) ?? 2000
    for (let p = Math.ceil(low / step) * step; p <= high; p += step) {
      append(svg, 'text', { class: 'number', x: x(p), y: 12 }, `${p}`.replace('-', '−'))
    }
  }

  // A cone from the span on each line to the span on the next one.
  function drawCones(spans) {
    const spanned = lines.flatMap(({ name }, i) => spans[name] ? [[i, ...spans[name]]] : [])
    spanned.slice(1).forEach(([i, from, to], k) => {
      const [above, first, end] = spanned[k]
      append(svg, 'path', {
        class: 'cone',
        d: `M${x(first - .5)} ${y(above)}L${x(end + .5)} ${y(above)}`
           + `L${x(to + .5)} ${y(i)}L${x(from - .5)} ${y(i)}z`,
      })
    })
  }

  function drawLine({ title, points }, i, span, wide) {
    append(svg, 'line', { class: 'axis', x1: x(low - .5), x2: x(high + .5), y1: y(i), y2: y(i) })
    const [from, to] = span ?? [NaN, NaN]
    if (span) {
      append(svg, 'rect', { class: 'span', x: x(from - .5), width: (to - from + 1) * scale,
                            y: y(i) - 8, height: 16, rx: 4 })
    }
    const spacing = points.length > 1 ? (points[1] - points[0]) * scale : DOT
    const size = Math.max(.7, Math.min(DOT, .6 * spacing))
    const tick = size < 3 ? 4 : 0                   // points that are very dense become ticks
    const drawPoints = (kind, list) => append(svg, 'path', {
      class: kind, 'stroke-width': size, 'stroke-linecap': tick ? 'butt' : 'round',
      d: list.map(p => `M${x(p)} ${y(i) - tick}v${2 * tick}`).join(''),
    })
    const inside = p => p >= from && p <= to
    drawPoints('outside', points.filter(p => !inside(p)))
    drawPoints('inside', points.filter(inside))
    const text = append(svg, 'text', { class: 'name', x: SIDE, y: y(i) + 25 }, title)
    if (text.getComputedTextLength() > wide - 2 * SIDE) {
      text.setAttribute('textLength', wide - 2 * SIDE)
      text.setAttribute('lengthAdjust', 'spacingAndGlyphs')
    }
  }

  // The highlighted points, and a line through them.
  function drawLink(highlight) {
    const marked = lines.flatMap(({ name, points }, i) =>
      (highlight[name] ?? []).map(k => [x(points[k]), y(i), name]))
    const points = marked.map(([cx, cy]) => `${cx},${cy}`).join(' ')
    append(svg, 'polyline', { class: 'link', points })
    for (const [cx, cy, name] of marked) {
      const isHandle = name === drag
      append(svg, 'circle', { class: isHandle ? 'highlight handle' : 'highlight', cx, cy,
                              r: isHandle ? 8 : 5 })
    }
  }
}
