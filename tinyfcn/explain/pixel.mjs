// Why a pixel has its class: its scores as sums of what each score layer contributes.
import { append, numberText } from './dom.mjs'

const SHOWN = 7

// answer: of the worker; { scores, probabilities, parts: [{ layer, scores }] }
export function showPixel(parent, { scores, probabilities, parts }, classes, colours, pixel) {
  parent.replaceChildren()
  const order = scores.map((_, c) => c).sort((a, b) => scores[b] - scores[a]).slice(0, SHOWN)
  const percent = Math.round(100 * probabilities[order[0]])
  append(parent, 'p', {}, `Row ${pixel[0]}, column ${pixel[1]} is ${classes[order[0]]} `
    + `(${percent} %).`)
  if (parts.length > 1) append(parent, 'p', {}, `score = ${parts.map(p => p.layer).join(' + ')}`)
  const largest = Math.max(...parts.flatMap(part => part.scores.map(Math.abs)), 1e-9)
  const table = append(parent, 'table', { class: 'parts' })
  const head = append(append(table, 'thead'), 'tr')
  for (const text of ['class', 'score', ...parts.map(part => part.layer)]) {
    append(head, 'th', { scope: 'col' }, text)
  }
  const body = append(table, 'tbody')
  for (const c of order) {
    const row = append(body, 'tr')
    const name = append(row, 'th', { scope: 'row' })
    append(name, 'i', { style: `background:rgb(${colours[c].join(',')})` })
    name.append(classes[c])
    append(row, 'td', { class: 'sum' }, numberText(scores[c]))
    for (const { scores: own } of parts) appendBar(row, own[c], largest)
  }
}

function appendBar(row, value, largest) {
  const cell = append(row, 'td')
  const bar = append(cell, 'span', { class: value < 0 ? 'bar negative' : 'bar' })
  bar.style.width = `${Math.max(1, 44 * Math.abs(value) / largest)}px`
  append(cell, 'span', { class: 'number' }, numberText(value))
}
