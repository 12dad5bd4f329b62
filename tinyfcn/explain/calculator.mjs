// The crop calculator: the lines of a model, and live what follows from them.
import { cropText } from './crops.mjs'
import { append, appendSvg, button, numberText } from './dom.mjs'
import { fractionText, toNumber } from './fraction.mjs'
import { measureLayers, readLayers } from './layers.mjs'

const AFTER = 12            // pixels on a ruler after the last first unit

function startCalculator({ title, presets }) {
  const main = document.querySelector('main')
  append(main, 'h1', {}, title)
  append(main, 'p', {}, 'Write the layers of a net, or choose one. For every box the table says '
    + 'how many units it has, and where they lie: unit i is centred on pixel scale · i + shift of '
    + 'the image, and depends on as many pixels as its field. A crop follows from the two boxes '
    + 'that it aligns.')
  const tools = append(main, 'div', { class: 'tools' })
  const select = append(append(tools, 'label', {}, 'net '), 'select')
  for (const name in presets) append(select, 'option', { value: name }, name)
  const height = sizeInput(tools, 'height '), wide = sizeInput(tools, 'width ')
  const copied = append(tools, 'output', { 'aria-live': 'polite' })
  const columns = append(main, 'div', { class: 'columns' })
  const lines = append(columns, 'textarea', {
    spellcheck: 'false', 'aria-label': 'the layers of the net', rows: 24 })
  const found = append(columns, 'div', { class: 'found' })
  const problem = append(found, 'p', { class: 'problem', role: 'status' })
  const crops = append(found, 'div', { class: 'crops' })
  const table = append(append(found, 'div', { class: 'scroll' }), 'table')

  const update = () => {
    try {
      const boxes = readLayers(lines.value)
      const measured = measureLayers(boxes, [+height.value, +wide.value])
      problem.textContent = ''
      showTable(table, boxes, measured)
      showCrops(crops, boxes, measured)
    } catch (error) {
      problem.textContent = error.message
    }
    // what stands there is of the layers before the mistake
    for (const old of [crops, table]) old.classList.toggle('old', problem.textContent !== '')
    const state = new URLSearchParams({ h: height.value, w: wide.value, layers: lines.value })
    history.replaceState(null, '', `#${state}`)
  }
  select.onchange = () => {
    lines.value = presets[select.value]
    update()
  }
  for (const input of [lines, height, wide]) input.oninput = update
  button(tools, 'copy a link to these layers', async () => {
    await navigator.clipboard.writeText(location.href)
    copied.textContent = 'copied'
  })

  const state = new URLSearchParams(location.hash.slice(1))
  height.value = state.get('h') ?? 500
  wide.value = state.get('w') ?? 500
  lines.value = state.get('layers') ?? presets[select.value]
  update()
}

function sizeInput(parent, text) {
  return append(append(parent, 'label', {}, text), 'input', { type: 'number', min: 1, max: 9999 })
}

// Of both axes if they differ: 8, or 8 × 4.
function bothAxes(values) {
  const [y, x] = values.map(fractionText)
  return y === x ? y : `${y} × ${x}`
}

function showTable(table, boxes, measured) {
  table.replaceChildren()
  const head = append(append(table, 'thead'), 'tr')
  for (const text of ['box', 'size', 'scale', 'shift', 'field']) {
    append(head, 'th', { scope: 'col' }, text)
  }
  const body = append(table, 'tbody')
  for (const name of ['data', ...boxes.map(box => box.name)]) {
    const { size, alignment } = measured[name]
    const row = append(body, 'tr')
    append(row, 'th', { scope: 'row' }, name)
    append(row, 'td', {}, `${size[0]}×${size[1]}`)
    for (const key of ['scale', 'shift', 'field']) {
      append(row, 'td', { class: 'sum' }, alignment ? bothAxes(alignment[key]) : '–')
    }
  }
}

// A sentence and a ruler for each crop.
function showCrops(parent, boxes, measured) {
  parent.replaceChildren()
  for (const { name, inputs: [input], like, layer } of boxes) {
    if (layer !== 'crop') continue
    const { crop } = measured[name], x = measured[input].alignment, y = measured[like].alignment
    if (!x || !y) continue
    const ofRows = (box, { scale, shift }) => (
      { name: box, scale: toNumber(scale[0]), shift: toNumber(shift[0]) })
    append(parent, 'p', {}, cropText(name, ofRows(input, x), ofRows(like, y), crop[0]))
    drawRuler(parent, { [input]: x, [like]: y })
  }
}

// The centres of the first units of some boxes, over the pixels of the image.
function drawRuler(parent, alignments) {
  const starts = Object.values(alignments).map(({ shift }) => toNumber(shift[0]))
  const spacing = Math.max(...Object.values(alignments).map(({ scale }) => toNumber(scale[0])))
  const first = Math.floor(Math.min(...starts)) - 2
  const end = Math.ceil(Math.max(...starts) + Math.max(AFTER, 1.5 * spacing))
  const names = Object.keys(alignments), left = 110, row = 26
  const wide = 620, unit = (wide - left) / (end - first), high = row * (names.length + 1)
  const every = 8 * 2 ** Math.max(0, Math.ceil(Math.log2((end - first) / 96)))
  const svg = appendSvg(parent, 'svg', {
    viewBox: `0 0 ${wide} ${high}`, class: 'ruler', role: 'img',
    'aria-label': `the centres of ${names.join(' and ')}` })
  const at = pixel => left + (pixel - first + .5) * unit
  for (let pixel = first; pixel < end; pixel++) {
    if (pixel % every === 0) {
      appendSvg(svg, 'text', { x: at(pixel), y: 14, 'text-anchor': 'middle' },
                numberText(pixel, 0))
      appendSvg(svg, 'line', { x1: at(pixel), x2: at(pixel), y1: 18, y2: high, class: 'tick' })
    }
  }
  names.forEach((name, i) => {
    const y = row * (i + 1) + 10, { scale, shift } = alignments[name]
    appendSvg(svg, 'text', { x: 0, y: y + 4 }, name)
    for (let k = 0; ; k++) {
      const pixel = toNumber(scale[0]) * k + toNumber(shift[0])
      if (pixel >= end - .5) break
      appendSvg(svg, 'circle', { cx: at(pixel), cy: y, r: Math.min(3.4, unit * spacing / 3),
                                 class: k ? 'unit' : 'unit first' })
    }
  })
}

startCalculator(JSON.parse(document.getElementById('data').textContent))
