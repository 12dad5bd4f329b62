// Ops that treat every value alone, as in the library's ops/pointwise.py.
import { addTensors, mapTensor, sameShape, shapeText } from './tensor.mjs'

export function relu([x]) {
  return leakyRelu([x], { slope: 0 })
}

export function leakyRelu([x], { slope }) {
  return [mapTensor(value => (value > 0 ? value : slope * value), x), { x, slope }]
}

export function leakyReluBackward(dy, { x, slope }) {
  return [mapTensor((d, value) => (value > 0 ? d : slope * d), dy, x)]
}

export function add(xs) {
  return [xs.reduce(addTensors), xs.length]
}

export function addBackward(dy, count) {
  return Array(count).fill(dy)
}

export function multiply([a, b]) {
  if (!sameShape(a, b)) {
    throw new Error(`${shapeText(a)} and ${shapeText(b)} cannot be multiplied`)
  }
  return [mapTensor((x, y) => x * y, a, b), { a, b }]
}

export function multiplyBackward(dy, { a, b }) {
  return [mapTensor((d, y) => d * y, dy, b), mapTensor((d, x) => d * x, dy, a)]
}

export function scale([x], { factor }) {
  return [mapTensor(value => factor * value, x), factor]
}

export function scaleBackward(dy, factor) {
  return [mapTensor(d => factor * d, dy)]
}

// This page drops no units, in its step back neither: what it shows is the same each time.
export function dropout([x]) {
  return [x, null]
}

export function dropoutBackward(dy) {
  return [dy]
}
