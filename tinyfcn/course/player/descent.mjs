// Draws the path of SGD with momentum over the contours of its loss, and computes it anew for other
// settings; a test holds it to the library's SGD. A part of the module that page.py joins.

const RATES = [.005, .01, .02, .05, .1, .15, .2, .25]
const MOMENTA = [0, .3, .5, .7, .8, .9, .95, .99]
const SIZE = [560, 240]                             // pixels of the drawing
const CONTOURS = 9

// -> a function that paints frame `index`
function draw(stage, trace, player) {
  const svg = append(stage, 'svg', { class: 'descent', role: 'img', 'aria-label': trace.title,
                                     viewBox: `0 0 ${SIZE.join(' ')}` })
  const reach = trace.start.map(w => 1.25 * Math.abs(w))
  const scale = Math.min(SIZE[0] / 2 / reach[0], SIZE[1] / 2 / reach[1])
  const place = ([a, b]) => [SIZE[0] / 2 + scale * a, SIZE[1] / 2 - scale * b]
  const top = lossOf(trace.curvature, trace.start)
  for (let k = CONTOURS; k > 0; k--) {
    const loss = top * (k / CONTOURS) ** 2 * 1.6
    const [rx, ry] = trace.curvature.map(c => scale * Math.sqrt(2 * loss / c))
    append(svg, 'ellipse', { cx: SIZE[0] / 2, cy: SIZE[1] / 2, rx, ry })
  }
  const [x, y] = SIZE.map(size => size / 2)             // the minimum
  append(svg, 'line', { x1: 0, x2: SIZE[0], y1: y, y2: y })
  append(svg, 'line', { x1: x, x2: x, y1: 0, y2: SIZE[1] })
  append(svg, 'text', { x: SIZE[0] - 6, y: y - 6, 'text-anchor': 'end' }, 'w₀')
  append(svg, 'text', { x: x + 6, y: 24 }, 'w₁')
  const path = append(svg, 'polyline')
  const points = trace.frames.map(() => append(svg, 'circle', { r: 3.5 }))
  addSettings(trace, player)
  return index => {
    const shown = trace.frames.slice(0, index + 1).map(frame => place(frame.point))
    path.setAttribute('points', shown.map(point => point.join(',')).join(' '))
    points.forEach((circle, k) => {
      const [cx, cy] = shown[k] ?? [0, 0]
      for (const [name, value] of Object.entries({ cx, cy, r: k === index ? 7 : 3.5 })) {
        circle.setAttribute(name, value)
      }
      circle.style.display = k > index ? 'none' : ''
    })
  }
}

// lr and momentum, each one of some values; a value that is not among them takes its place there.
function addSettings(trace, player) {
  for (const [name, values] of [['lr', RATES], ['momentum', MOMENTA]]) {
    const all = [...new Set([...values, trace[name]])].sort((a, b) => a - b)
    const k = all.indexOf(trace[name])
    addStepper(player.tools, name, formatNumber(trace[name]), k === 0, k === all.length - 1,
               step => {
                 const changed = { ...trace, [name]: all[k + step] }
                 player.restart({ ...changed, frames: descend(changed) }, player.current())
               })
  }
}

const lossOf = (curvature, w) => w.reduce((sum, value, k) => sum + curvature[k] * value ** 2 / 2, 0)

// v ← momentum·v + lr·g; w ← w − v
function descend({ curvature, start, lr, momentum, frames }) {
  let w = start, v = start.map(() => 0)
  return frames.map((_, step) => {
    if (step) {
      v = v.map((value, k) => momentum * value + lr * curvature[k] * w[k])
      w = w.map((value, k) => value - v[k])
    }
    const loss = lossOf(curvature, w), [a, b] = w.map(formatNumber)
    return { caption: `step ${step}: w = (${a}, ${b}), loss ${formatNumber(loss)}`, point: w, loss }
  })
}
