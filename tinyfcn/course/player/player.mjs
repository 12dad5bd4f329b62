// Plays a trace: frames over grids of numbers, maps of units, layers, pictures or a path. The
// docstring of __init__.py says what a trace is.
//
//     play(root, trace)        fills the element `root`; root.dataset.frame is the current frame
//
// page.py joins this file and those of the kind of the trace into one module without imports.

const ICONS = {
  first: 'M2 3h2v10H2zM13 3v10L5 8z', play: 'M4 2.5v11L13 8z',
  pause: 'M3.5 3h3v10h-3zM9.5 3h3v10h-3z', last: 'M12 3h2v10h-2zM3 3v10l8-5z',
  previous: 'M9.5 2.5L11 4L7 8l4 4-1.5 1.5L4 8z', next: 'M6.5 2.5L5 4l4 4-4 4 1.5 1.5L12 8z',
}
const SPEEDS = [1, 2, .5]
const STEP_TIME = 350                               // milliseconds: motion within a step

export function play(root, trace, start = 0) {
  const last = trace.frames.length - 1
  const { stage, caption, buttons, slider, counter, tools, legend } = build(root, trace)
  const clock = makeClock(last + 1, isLooping => {
    if (current < last) show(current + 1)
    else if (isLooping) show(0)
    else stop()
  })
  let current = start

  function show(index) {
    const from = current
    current = Math.max(0, Math.min(last, index))
    caption.replaceChildren()
    typeset(caption, trace.frames[current].caption)
    paint(current, from)
    slider.value = current
    slider.setAttribute('aria-valuetext', `${current + 1} of ${last + 1}`)
    counter.textContent = `${current + 1} / ${last + 1}`
    buttons.first.setAttribute('aria-disabled', current === 0)
    buttons.previous.setAttribute('aria-disabled', current === 0)
    buttons.next.setAttribute('aria-disabled', current === last)
    buttons.last.setAttribute('aria-disabled', current === last)
    root.dataset.frame = current
  }
  function stop() {
    clock.stop()
    showIcon(buttons.play, 'play')
    caption.setAttribute('aria-live', 'polite')
  }
  function run() {
    caption.setAttribute('aria-live', 'off')        // too fast for a screen reader
    showIcon(buttons.play, 'pause')
    clock.start()
    show(current === last ? 0 : current + 1)
  }

  // what the drawing of a trace may use of its player
  const player = {
    caption, tools, current: () => current,
    show: index => { stop(); show(index) },
    pace: () => clock.pace(),
    focus: () => root.focus({ preventScroll: true }),
    restart: (changed, index) => { leave(); play(root, changed, index) },
  }
  const paint = draw(stage, trace, player)          // of the kind of this trace
  addLegend(legend, trace)
  addTools(tools, clock, player)
  const toggle = () => clock.isRunning() ? stop() : run()
  listenToControls(root, buttons, slider, { player, toggle, last })
  const unwatch = watch(root, caption, trace, { repaint: () => show(current), player })
  const leave = () => { stop(); unwatch() }
  show(start)
}

// The elements of the player, in `root`.
function build(root, trace) {
  root.replaceChildren()
  const head = append(root, 'div', { class: 'head' })
  append(head, 'h2', {}, trace.title)
  const legend = append(head, 'div', { class: 'legend' })
  const stage = append(root, 'div')
  const dock = append(root, 'div', { class: 'dock' })
  const caption = append(dock, 'p', { class: 'caption', 'aria-live': 'polite' })
  const bar = append(dock, 'div', { class: 'bar' })
  const steps = append(bar, 'div', { class: 'steps' }), buttons = {}
  for (const name of ['first', 'previous', 'play', 'next', 'last']) {
    buttons[name] = append(steps, 'button', { type: 'button' })
    showIcon(buttons[name], name)
  }
  const slider = append(bar, 'input', { type: 'range', min: 0, max: trace.frames.length - 1,
                                        'aria-label': 'step' })
  const counter = append(bar, 'output')
  const tools = append(bar, 'div', { class: 'tools' })
  root.tabIndex = 0
  root.setAttribute('aria-label', trace.title)
  return { stage, caption, buttons, slider, counter, tools, legend }
}

// Calls advance(isLooping) again and again while it runs.
function makeClock(count, advance) {
  let timer = 0, speed = 1
  const interval = () => Math.max(120, Math.min(1100, 30000 / count)) / speed
  const clock = {
    isLooping: false,
    isRunning: () => timer !== 0,
    start: () => { timer = setInterval(() => advance(clock.isLooping), interval()) },
    stop: () => { clearInterval(timer); timer = 0 },
    // the next of SPEEDS
    changeSpeed: () => {
      speed = SPEEDS[(SPEEDS.indexOf(speed) + 1) % SPEEDS.length]
      if (timer) { clock.stop(); clock.start() }
      return speed
    },
    // milliseconds for the motion of a step
    pace: () => timer ? Math.min(STEP_TIME, .8 * interval()) : STEP_TIME,
  }
  return clock
}

function addTools(tools, clock, player) {
  const button = append(tools, 'button', { type: 'button' }, 'speed 1×')
  button.onclick = () => {
    const speed = clock.changeSpeed()
    button.textContent = `speed ${speed === .5 ? '½' : speed}×`
  }
  addToggle(tools, 'loop', isOn => { clock.isLooping = isOn })
  if (player.predict) addToggle(tools, 'predict', player.predict)
}

function listenToControls(root, buttons, slider, { player, toggle, last }) {
  const { show, current } = player
  const targets = { first: () => 0, previous: () => current() - 1, next: () => current() + 1,
                    last: () => last }
  for (const name in targets) buttons[name].onclick = () => show(targets[name]())
  buttons.play.onclick = toggle
  slider.oninput = () => show(+slider.value)
  const keys = { ArrowLeft: targets.previous, ArrowRight: targets.next, Home: targets.first,
                 End: targets.last }
  root.onkeydown = event => {
    if (event.altKey || event.ctrlKey || event.metaKey) return
    if (event.key === ' ' && event.target.tagName !== 'BUTTON') toggle()
    else if (event.key in keys) show(keys[event.key]())
    else return
    event.preventDefault()
  }
}

// Follows the width of the page, and shows the last frame in print, where all values are there.
// -> a function that ends this
function watch(root, caption, trace, { repaint, player }) {
  let width = 0
  const observer = new ResizeObserver(() => {
    if (root.clientWidth !== width) {
      width = root.clientWidth
      reserveHeight(caption, trace.frames)
      repaint()
    }
    fitFrame(root)
  })
  observer.observe(root)
  const printing = matchMedia('print')
  const onPrint = () => { if (printing.matches) player.show(trace.frames.length - 1) }
  printing.addEventListener('change', onPrint)
  return () => {
    observer.disconnect()
    printing.removeEventListener('change', onPrint)
  }
}

// In a notebook the iframe grows to the whole page, or, on a screen that is lower, to what can be
// seen at once: then the page scrolls inside, and its bar stays at the lower edge.
function fitFrame(root) {
  const iframe = window.frameElement
  if (!iframe || !root.offsetHeight) return
  iframe.style.height = `${Math.min(root.offsetHeight, visibleHeight())}px`
}

// Pixels that a reader sees at once.
function visibleHeight() {
  return window.frameElement ? Math.max(360, window.parent.innerHeight - 60) : innerHeight
}

// Space for the longest caption, so that the buttons below it never move.
function reserveHeight(caption, frames) {
  const captions = frames.map(frame => frame.caption)
  caption.style.minHeight = 0
  caption.replaceChildren()
  typeset(caption, captions.reduce((a, b) => b.length > a.length ? b : a, ''))
  caption.style.minHeight = `${caption.offsetHeight}px`
}

// What the colours mean, for those that occur in this trace.
function addLegend(legend, trace) {
  const occurs = key => trace.frames.some(frame => Object.keys(frame[key] ?? {}).length)
  const entries = {}
  if (trace.kind === 'alignment') {
    if (occurs('fields')) entries.highlight = 'in the receptive field'
    entries.written = 'drag this unit'
  } else if (trace.kind === 'grid') {
    if (occurs('highlight')) entries.highlight = 'read'
    if (occurs('set')) entries.written = 'written'
    if (occurs('dim') || trace.grids.some(grid => grid.dim?.length)) {
      entries.dim = trace.dim_legend ?? 'padding'
    }
  }
  for (const name in entries) {
    const entry = append(legend, 'span')
    append(entry, 'i', { class: name })
    entry.append(entries[name])
  }
}

function addToggle(parent, name, change) {
  const button = append(parent, 'button', { type: 'button', 'aria-pressed': false }, name)
  button.onclick = () => {
    const isOn = button.getAttribute('aria-pressed') === 'false'
    button.setAttribute('aria-pressed', isOn)
    change(isOn)
  }
  return button
}

// name − value +; change(−1) or change(1) is called for a click on a side that is not at its end
function addStepper(parent, name, text, isLowest, isHighest, change) {
  const group = append(parent, 'span', { class: 'number' }, name)
  const addButton = (sign, step, label, isEnd) => {
    const button = append(group, 'button', { type: 'button', 'aria-label': label,
                                             'aria-disabled': isEnd }, sign)
    button.onclick = () => isEnd || change(step)
  }
  addButton('−', -1, `smaller ${name}`, isLowest)
  append(group, 'b', {}, text)
  addButton('+', 1, `larger ${name}`, isHighest)
}

const SVG_TAGS = new Set(['svg', 'g', 'rect', 'text', 'path', 'line', 'circle', 'polyline',
                          'ellipse', 'image', 'pattern'])

// A new element as the last child of `parent`, which may be null.
function append(parent, tag, attributes = {}, text) {
  const element = SVG_TAGS.has(tag) ? document.createElementNS('http://www.w3.org/2000/svg', tag)
    : document.createElement(tag)
  for (const name in attributes) element.setAttribute(name, attributes[name])
  if (text !== undefined) element.textContent = text
  parent?.append(element)
  return element
}

function showIcon(button, name) {
  button.setAttribute('aria-label', name)
  button.replaceChildren()
  const svg = append(button, 'svg', { viewBox: '0 0 16 16', 'aria-hidden': true })
  append(svg, 'path', { d: ICONS[name] })
}
