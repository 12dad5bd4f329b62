// Plays a trace: frames over grids of numbers, or over aligned lines of points. The docstring of
// __init__.py says what a trace is.
//
//     play(root, trace)        fills the element `root`; root.dataset.frame is the current frame
//
// Player.page() joins this file and grids.mjs or alignment.mjs into one module without imports.

const ICONS = {
  first: 'M2 3h2v10H2zM13 3v10L5 8z', play: 'M4 2.5v11L13 8z',
  pause: 'M3.5 3h3v10h-3zM9.5 3h3v10h-3z',
  previous: 'M9.5 2.5L11 4L7 8l4 4-1.5 1.5L4 8z', next: 'M6.5 2.5L5 4l4 4-4 4 1.5 1.5L12 8z',
}

export function play(root, trace) {
  const last = trace.frames.length - 1
  const interval = Math.max(120, Math.min(800, 24000 / (last + 1)))     // milliseconds a frame
  let current = 0, timer = 0
  const buttons = {}
  for (const name of ['first', 'previous', 'play', 'next']) {
    buttons[name] = append(null, 'button', { type: 'button', 'aria-label': name })
    setIcon(buttons[name], name)
  }
  const slider = append(null, 'input', { type: 'range', min: 0, max: last, 'aria-label': 'frame' })
  const counter = append(null, 'output')

  const head = append(root, 'div', { class: 'head' })
  append(head, 'h2', {}, trace.title)
  const stage = append(root, 'div')
  const draw = trace.kind === 'alignment' ? drawAlignment : drawGrids
  const paint = draw(stage, trace, index => { stop(); show(index) })
  addLegend(head, trace)
  const caption = append(root, 'p', { class: 'caption', 'aria-live': 'polite' })
  append(root, 'div', { class: 'bar' }).append(...Object.values(buttons), slider, counter)
  root.tabIndex = 0
  root.setAttribute('aria-label', trace.title)

  function show(index) {
    current = Math.max(0, Math.min(last, index))
    paint(current)
    caption.textContent = trace.frames[current].caption
    slider.value = current
    slider.setAttribute('aria-valuetext', `${current + 1} of ${last + 1}`)
    counter.textContent = `${current + 1} / ${last + 1}`
    buttons.first.setAttribute('aria-disabled', current === 0)
    buttons.previous.setAttribute('aria-disabled', current === 0)
    buttons.next.setAttribute('aria-disabled', current === last)
    root.dataset.frame = current
  }
  function stop() {
    clearInterval(timer)
    timer = 0
    buttons.play.setAttribute('aria-label', 'play')
    setIcon(buttons.play, 'play')
    caption.setAttribute('aria-live', 'polite')
  }
  function start() {
    caption.setAttribute('aria-live', 'off')        // too fast for a screen reader
    buttons.play.setAttribute('aria-label', 'pause')
    setIcon(buttons.play, 'pause')
    show(current === last ? 0 : current + 1)
    timer = setInterval(() => current === last ? stop() : show(current + 1), interval)
  }
  const targets = { first: () => 0, previous: () => current - 1, next: () => current + 1 }
  for (const name in targets) buttons[name].onclick = () => { stop(); show(targets[name]()) }
  buttons.play.onclick = () => timer ? stop() : start()
  slider.oninput = () => { stop(); show(+slider.value) }
  root.onkeydown = event => {
    const keys = { ArrowLeft: current - 1, ArrowRight: current + 1, Home: 0, End: last }
    const index = keys[event.key]
    if (index === undefined || event.altKey || event.ctrlKey || event.metaKey) return
    event.preventDefault()
    stop()
    show(index)
  }

  let width = 0
  new ResizeObserver(() => {
    if (root.clientWidth !== width) {
      width = root.clientWidth
      reserveHeight(caption, trace.frames)
      show(current)
    }
    const iframe = window.frameElement              // in a notebook; it grows to the whole page
    if (iframe && root.offsetHeight) iframe.style.height = `${root.offsetHeight}px`
  }).observe(root)
  show(0)
}

// Space for the longest caption, so that the buttons below it never move.
function reserveHeight(caption, frames) {
  const captions = frames.map(frame => frame.caption)
  caption.style.minHeight = 0
  caption.textContent = captions.reduce((a, b) => b.length > a.length ? b : a, '')
  caption.style.minHeight = `${caption.offsetHeight}px`
}

// What the colours mean, for those that occur in this trace.
function addLegend(head, trace) {
  const occurs = key => trace.frames.some(frame => Object.keys(frame[key] ?? {}).length)
  const entries = {}
  if (trace.kind === 'alignment') {
    if (occurs('spans')) entries.highlight = 'in the receptive field'
    if (trace.drag) entries.written = 'drag this point'
  } else {
    if (occurs('highlight')) entries.highlight = 'read'
    if (occurs('set')) entries.written = 'written'
    if (occurs('dim') || trace.grids.some(grid => grid.dim?.length)) {
      entries.dim = trace.dim_legend ?? 'padding'
    }
  }
  const legend = append(head, 'div', { class: 'legend' })
  for (const name in entries) {
    const entry = append(legend, 'span')
    append(entry, 'i', { class: name })
    entry.append(entries[name])
  }
}

const SVG_TAGS = new Set(['svg', 'g', 'rect', 'text', 'path', 'line', 'circle', 'polyline'])

// A new element as the last child of `parent`, which may be null.
function append(parent, tag, attributes = {}, text) {
  const element = SVG_TAGS.has(tag) ? document.createElementNS('http://www.w3.org/2000/svg', tag)
    : document.createElement(tag)
  for (const name in attributes) element.setAttribute(name, attributes[name])
  if (text !== undefined) element.textContent = text
  parent?.append(element)
  return element
}

function setIcon(button, name) {
  button.replaceChildren()
  const svg = append(button, 'svg', { viewBox: '0 0 16 16', 'aria-hidden': true })
  append(svg, 'path', { d: ICONS[name] })
}
