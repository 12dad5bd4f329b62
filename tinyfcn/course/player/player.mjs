// Plays a trace: frames over grids of numbers, or over rulers. What a trace is, __init__.py says.
//
//     play(root, trace)        fills the element `root`; root.dataset.frame is where it stands
//
// page() joins this file and grids.mjs or rulers.mjs into one module, which imports nothing.

const ICONS = {
  first: 'M2 3h2v10H2zM13 3v10L5 8z', play: 'M4 2.5v11L13 8z',
  pause: 'M3.5 3h3v10h-3zM9.5 3h3v10h-3z',
  previous: 'M9.5 2.5L11 4L7 8l4 4-1.5 1.5L4 8z', next: 'M6.5 2.5L5 4l4 4-4 4 1.5 1.5L12 8z',
}

export function play(root, trace) {
  const last = trace.frames.length - 1, pace = Math.max(120, Math.min(800, 24000 / (last + 1)))
  let at = 0, timer = 0
  const bar = Object.fromEntries(['first', 'previous', 'play', 'next'].map(name => [name, add(
    null, 'button', { type: 'button', 'aria-label': name })]))
  for (const name in bar) icon(bar[name], name)
  const slider = add(null, 'input', { type: 'range', min: 0, max: last, 'aria-label': 'frame' })
  const count = add(null, 'output')

  const head = add(root, 'div', { class: 'head' })
  add(head, 'h2', {}, trace.title)
  const stage = add(root, 'div')
  const paint = (trace.kind === 'ruler' ? rulers : grids)(stage, trace, at => { stop(); go(at) })
  key(head, trace)
  const say = add(root, 'p', { class: 'say', 'aria-live': 'polite' })
  add(root, 'div', { class: 'bar' }).append(...Object.values(bar), slider, count)
  root.tabIndex = 0
  root.setAttribute('aria-label', trace.title)

  function go(to) {
    at = Math.max(0, Math.min(last, to))
    paint(at)
    say.textContent = trace.frames[at].say
    slider.value = at
    slider.setAttribute('aria-valuetext', `${at + 1} of ${last + 1}`)
    count.textContent = `${at + 1} / ${last + 1}`
    bar.first.setAttribute('aria-disabled', at === 0)
    bar.previous.setAttribute('aria-disabled', at === 0)
    bar.next.setAttribute('aria-disabled', at === last)
    root.dataset.frame = at
  }
  function stop() {
    clearInterval(timer)
    timer = 0
    bar.play.setAttribute('aria-label', 'play')
    icon(bar.play, 'play')
    say.setAttribute('aria-live', 'polite')
  }
  function start() {
    say.setAttribute('aria-live', 'off')            // nobody can listen that fast
    bar.play.setAttribute('aria-label', 'pause')
    icon(bar.play, 'pause')
    go(at === last ? 0 : at + 1)
    timer = setInterval(() => at === last ? stop() : go(at + 1), pace)
  }
  const moves = { first: () => 0, previous: () => at - 1, next: () => at + 1 }
  for (const name in moves) bar[name].onclick = () => { stop(); go(moves[name]()) }
  bar.play.onclick = () => timer ? stop() : start()
  slider.oninput = () => { stop(); go(+slider.value) }
  root.onkeydown = event => {
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key]
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return
    event.preventDefault()
    stop()
    go(to)
  }

  let width = 0
  new ResizeObserver(() => {
    if (root.clientWidth !== width) {
      width = root.clientWidth
      settle(say, trace.frames)
      go(at)
    }
    const frame = window.frameElement               // of a notebook, which shows all of the page
    if (frame && root.offsetHeight) frame.style.height = `${root.offsetHeight}px`
  }).observe(root)
  go(0)
}

// Room for the longest sentence: the buttons below stay where the finger is.
function settle(say, frames) {
  say.style.minHeight = 0
  say.textContent = frames.reduce((most, frame) =>
    frame.say.length > most.length ? frame.say : most, '')
  say.style.minHeight = `${say.offsetHeight}px`
}

function key(head, trace) {
  const some = name => trace.frames.some(frame => Object.keys(frame[name] ?? {}).length)
  const soft = some('soft') || trace.grids?.some(grid => grid.soft?.length)
  const words = trace.kind === 'ruler' ? {
    ...some('spans') && { lit: 'seen' }, ...trace.drag && { made: 'drag this point' },
  } : {
    ...some('lit') && { lit: 'read' }, ...some('set') && { made: 'written' },
    ...soft && { soft: trace.soft ?? 'padding' },
  }
  const list = add(head, 'div', { class: 'key' })
  for (const name in words) {
    const entry = add(list, 'span')
    add(entry, 'i', { class: name })
    entry.append(words[name])
  }
}

const DRAWN = new Set(['svg', 'g', 'rect', 'text', 'path', 'line', 'circle', 'polyline'])

function add(parent, tag, attributes = {}, text) {
  const made = DRAWN.has(tag) ? document.createElementNS('http://www.w3.org/2000/svg', tag)
    : document.createElement(tag)
  for (const name in attributes) made.setAttribute(name, attributes[name])
  if (text !== undefined) made.textContent = text
  parent?.append(made)
  return made
}

function icon(button, name) {
  button.replaceChildren()
  add(add(button, 'svg', { viewBox: '0 0 16 16', 'aria-hidden': true }), 'path', { d: ICONS[name] })
}
