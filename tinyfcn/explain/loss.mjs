// Softmax and its cross-entropy, the mean over all pixels that have a label.
import { emptyTensor } from './tensor.mjs'

export const VOID = 255

export function softmax(score) {
  const p = emptyTensor(score.size, score.channels)
  for (let at = 0; at < p.data.length; at += score.channels) {
    const scores = score.data.subarray(at, at + score.channels)
    const largest = Math.max(...scores)
    let sum = 0
    for (const s of scores) sum += Math.exp(s - largest)
    scores.forEach((s, c) => { p.data[at + c] = Math.exp(s - largest) / sum })
  }
  return p
}

// label: the class of every pixel, or VOID -> { loss, dscore }
export function softmaxCrossEntropy(score, label) {
  const dscore = softmax(score)
  const { channels, data } = dscore
  const counted = label.reduce((count, c) => count + (c !== VOID), 0)
  let loss = 0
  label.forEach((c, pixel) => {
    const at = pixel * channels
    if (c === VOID) {
      data.fill(0, at, at + channels)
      return
    }
    loss -= Math.log(Math.max(data[at + c], 1e-38)) / counted
    data[at + c] -= 1
    for (let k = 0; k < channels; k++) data[at + k] /= counted
  })
  return { loss, dscore }
}

export function argmaxLabels(score) {
  const { channels, data } = score
  const labels = new Uint8Array(data.length / channels)
  for (let pixel = 0; pixel < labels.length; pixel++) {
    for (let c = 1; c < channels; c++) {
      if (data[pixel * channels + c] > data[pixel * channels + labels[pixel]]) labels[pixel] = c
    }
  }
  return labels
}
