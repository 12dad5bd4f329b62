// One value of a box as a sum, or a maximum, of values that it reads.
import { bilinearKernel, upsamplingKsize } from './interpolation.mjs'

const SHOWN = 8

// box at (row, column), channel -> { kind, value, terms, rest, bias } or null; terms
// [{ text, x, w }], the largest first; rest: the sum of all others
export function termsOf(box, values, arrays, channel, [row, column]) {
  const y = values[box.name]
  const value = y.data[(row * y.size[1] + column) * y.channels + channel]
  const x = values[box.inputs[0]]
  if (box.op === 'conv2d') {
    return { kind: 'sum', value, ...convTerms(box, x, arrays, channel, row, column) }
  }
  if (box.op === 'max_pool') {
    return { kind: 'max', value, terms: poolTerms(box, x, channel, row, column) }
  }
  if (box.op === 'add') {
    const terms = box.inputs.map(name => (
      { text: name, x: at(values[name], channel, row, column) }))
    return { kind: 'sum', value, terms, rest: 0 }
  }
  if (box.op === 'upsample') {
    return { kind: 'sum', value, ...stampTerms(box, x, channel, row, column) }
  }
  return null
}

function at(x, channel, row, column) {
  return x.data[(row * x.size[1] + column) * x.channels + channel]
}

function* windowOf({ kwargs }, x, ksize, row, column) {
  const { stride, pad, dilation } = kwargs
  for (let u = 0; u < ksize[0]; u++) {
    for (let v = 0; v < ksize[1]; v++) {
      const i = row * stride[0] - pad[0] + u * dilation[0]
      const j = column * stride[1] - pad[1] + v * dilation[1]
      if (i >= 0 && i < x.size[0] && j >= 0 && j < x.size[1]) yield { u, v, i, j }
    }
  }
}

function convTerms(box, x, arrays, channel, row, column) {
  const w = arrays[`${box.name}.w`], b = arrays[`${box.name}.b`]
  const [, perGroup, kh, kw] = w.shape
  const first = Math.floor(channel / (w.shape[0] / box.kwargs.groups)) * perGroup
  const terms = []
  for (const { u, v, i, j } of windowOf(box, x, [kh, kw], row, column)) {
    for (let c = 0; c < perGroup; c++) {
      terms.push({ text: `${box.inputs[0]}[${first + c}, ${i}, ${j}]`, x: at(x, first + c, i, j),
                   w: w.data[((channel * perGroup + c) * kh + u) * kw + v] })
    }
  }
  return { ...largest(terms), bias: b ? b.data[channel] : undefined }
}

function poolTerms(box, x, channel, row, column) {
  return [...windowOf(box, x, box.kwargs.ksize, row, column)].map(({ i, j }) => (
    { text: `${box.inputs[0]}[${channel}, ${i}, ${j}]`, x: at(x, channel, i, j) }))
}

function stampTerms({ kwargs, inputs }, x, channel, row, column) {
  const kernels = upsamplingKsize(kwargs).map(bilinearKernel)
  const weight = (output, input, axis) => (
    kernels[axis][output + kwargs.pad[axis] - input * kwargs.factor[axis]] ?? 0)
  const terms = []
  for (let i = 0; i < x.size[0]; i++) {
    for (let j = 0; weight(row, i, 0) && j < x.size[1]; j++) {
      const w = weight(row, i, 0) * weight(column, j, 1)
      const text = `${inputs[0]}[${channel}, ${i}, ${j}]`
      if (w) terms.push({ text, x: at(x, channel, i, j), w })
    }
  }
  return largest(terms)
}

function largest(terms) {
  const product = ({ x, w }) => x * w
  const sorted = terms.sort((a, b) => Math.abs(product(b)) - Math.abs(product(a)))
  const rest = sorted.slice(SHOWN).reduce((sum, term) => sum + product(term), 0)
  return { terms: sorted.slice(0, SHOWN), rest, count: terms.length }
}
