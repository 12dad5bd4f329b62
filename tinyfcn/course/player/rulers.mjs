// Rulers over the image: a part of the module that page() joins.

const LINE = 58, DOT = 8, SIDE = 14                 // between rulers, of a point, beside them

function rulers(stage, trace, go) {
  const { lines, extent: [low, high], drag } = trace, dragged = lines.find(l => l.name === drag)
  const svg = add(stage, 'svg', { class: 'ruler', role: 'img', 'aria-label': trace.title })
  const tall = lines.length * LINE + 26, y = i => 40 + i * LINE
  let scale = 1, held = false
  const x = pixel => SIDE + (pixel - low + .5) * scale

  const grab = event => {
    if (!held) return
    const pixel = (event.clientX - svg.getBoundingClientRect().left - SIDE) / scale + low - .5
    const far = dragged.points.map(point => Math.abs(point - pixel))
    go(far.indexOf(Math.min(...far)))
  }
  if (dragged) {
    svg.onpointerdown = event => {
      held = true
      svg.setPointerCapture(event.pointerId)
      grab(event)
    }
    svg.onpointermove = grab
    svg.onpointerup = svg.onpointercancel = () => { held = false }
  }

  return at => {
    const { lit = {}, spans = {} } = trace.frames[at], wide = stage.clientWidth || 600
    scale = (wide - 2 * SIDE) / (high - low + 1)
    svg.setAttribute('viewBox', `0 0 ${wide} ${tall}`)
    svg.replaceChildren()
    const [under] = lines, ends = [under.points[0], under.points.at(-1)]
    add(svg, 'rect', { class: 'under', x: x(ends[0] - .5), width: scale * (ends[1] - ends[0] + 1),
                       y: 18, height: tall - 18, rx: 4 })
    const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find(s => s * scale > 44) ?? 2000
    for (let p = Math.ceil(low / step) * step; p <= high; p += step) {
      add(svg, 'text', { class: 'number', x: x(p), y: 12 }, `${p}`.replace('-', '−'))
    }
    const spanned = lines.flatMap(({ name }, i) => spans[name] ? [[i, ...spans[name]]] : [])
    spanned.slice(1).forEach(([i, from, to], k) => {
      const [above, first, end] = spanned[k]
      add(svg, 'path', { class: 'cone', d: `M${x(first - .5)} ${y(above)}L${x(end + .5)} ${y(above)}`
                                           + `L${x(to + .5)} ${y(i)}L${x(from - .5)} ${y(i)}z` })
    })
    lines.forEach(({ name, title, points }, i) => {
      add(svg, 'line', { class: 'axis', x1: x(low - .5), x2: x(high + .5), y1: y(i), y2: y(i) })
      const [from, to] = spans[name] ?? [NaN, NaN]
      if (spans[name]) {
        add(svg, 'rect', { class: 'span', x: x(from - .5), width: (to - from + 1) * scale,
                           y: y(i) - 8, height: 16, rx: 4 })
      }
      const apart = points.length > 1 ? (points[1] - points[0]) * scale : DOT
      const size = Math.max(.7, Math.min(DOT, .6 * apart)), tick = size < 3 ? 4 : 0
      const dots = (kind, list) => add(svg, 'path', {
        class: kind, 'stroke-width': size, 'stroke-linecap': tick ? 'butt' : 'round',
        d: list.map(p => `M${x(p)} ${y(i) - tick}v${2 * tick}`).join(''),
      })
      const seen = p => p >= from && p <= to
      dots('points', points.filter(p => !seen(p)))
      dots('seen', points.filter(seen))
      const words = add(svg, 'text', { class: 'name', x: SIDE, y: y(i) + 25 }, title)
      if (words.getComputedTextLength() > wide - 2 * SIDE) {
        words.setAttribute('textLength', wide - 2 * SIDE)
        words.setAttribute('lengthAdjust', 'spacingAndGlyphs')
      }
    })
    const marked = lines.flatMap(({ name, points }, i) =>
      (lit[name] ?? []).map(k => [x(points[k]), y(i), name]))
    add(svg, 'polyline', { class: 'thread', points: marked.map(([a, b]) => `${a},${b}`).join(' ') })
    for (const [cx, cy, name] of marked) {
      add(svg, 'circle', { class: name === drag ? 'lit handle' : 'lit', cx, cy,
                           r: name === drag ? 8 : 5 })
    }
  }
}
