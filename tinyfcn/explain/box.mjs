// One box: its line in the model, its channels, one of its values as a sum or a maximum, and its op
// step by step.
import { cropText } from './crops.mjs'
import { append, heatColour, numberText, paint } from './dom.mjs'
import { showPlayer } from './player.mjs'

// boxes: their descriptions; player: the page of a player; choose(channel) when a channel is clicked
export function showBox(parent, name, boxes, answer, player, choose) {
  const box = boxes.find(each => each.name === name)
  const { channel, channels, unit, size, images, terms, excerpt } = answer
  parent.replaceChildren()
  append(parent, 'p', { class: 'line' }, box.line)
  const { scale, field } = box.alignment ?? {}
  append(parent, 'p', {}, `${channels} channels of ${size[0]}×${size[1]}`
    + (scale ? `; ${distanceText(scale[0])}, which depends on ${field[0]}×${field[1]} pixels` : ''))
  for (const text of cropTexts(box, boxes)) append(parent, 'p', {}, text)
  append(parent, 'p', {}, 'The values of its channels:')
  const row = append(parent, 'div', { class: 'channels' })
  images.forEach((image, c) => {
    const canvas = append(row, 'canvas', { tabindex: 0, role: 'button',
                                           'aria-label': `channel ${c}`,
                                           class: c === channel ? 'chosen' : '' })
    paint(canvas, image.size, pixel => heatColour(image.pixels[pixel]))
    canvas.onclick = () => choose(c)
    canvas.onkeydown = event => { if (event.key === 'Enter') choose(c) }
  })
  if (images.length < channels) append(row, 'span', {}, `… of ${channels}`)
  if (terms) showTerms(append(parent, 'div', { class: 'terms' }), box, terms, channel, unit)
  if (excerpt) showPlayer(append(parent, 'div', { class: 'steps' }), player, excerpt)
}

// Of the crop that a box is, and of those that it reads.
function cropTexts(box, boxes) {
  const ofRows = name => {
    const { scale, shift } = boxes.find(each => each.name === name)?.alignment
      ?? { scale: [1], shift: [0] }                     // the image
    return { name: name === 'data' ? 'the image' : name, scale: scale[0], shift: shift[0] }
  }
  return boxes.filter(each => each.op === 'crop' && (each === box || box.inputs.includes(each.name)))
    .map(({ name, inputs, like, kwargs }) => (
      cropText(name, ofRows(inputs[0]), ofRows(like), kwargs.offset[0])))
}

function distanceText(pixels) {
  if (pixels === 1) return 'a unit for every pixel'
  return `a unit for every ${numberText(pixels, Number.isInteger(pixels) ? 0 : 2)} pixels`
}

function showTerms(parent, box, { kind, value, terms, rest, bias, count }, channel, [row, column]) {
  append(parent, 'p', {}, `${box.name}[${channel}, ${row}, ${column}] = ${numberText(value, 3)}, `
    + (kind === 'max' ? 'the largest of' : 'the sum of'))
  const table = append(parent, 'table')
  const largest = Math.max(...terms.map(({ x, w = 1 }) => Math.abs(x * w)), 1e-9)
  for (const { text, x, w } of terms) {
    const line = append(table, 'tr', { class: kind === 'max' && x === value ? 'chosen' : '' })
    append(line, 'td', {}, text)
    append(line, 'td', { class: 'sum' }, w === undefined ? numberText(x, 3)
      : `${numberText(x, 3)} × ${numberText(w, 3)}`)
    const product = w === undefined ? x : x * w
    const bar = append(append(line, 'td'), 'span', { class: product < 0 ? 'bar negative' : 'bar' })
    bar.style.width = `${Math.max(1, 60 * Math.abs(product) / largest)}px`
  }
  if (kind === 'max') return
  if (count > terms.length) {
    appendRow(table, `${count - terms.length} others`, rest)
  }
  if (bias !== undefined) appendRow(table, 'bias', bias)
}

function appendRow(table, text, value) {
  const line = append(table, 'tr')
  append(line, 'td', {}, text)
  append(line, 'td', { class: 'sum' }, numberText(value, 3))
}
