// The net, in a thread of its own so that the page stays alive. Each message { id, kind, … } is
// answered by { id, answer } or { id, error }.
import { excerptOf } from './excerpt.mjs'
import { unpackWeights } from './half.mjs'
import { greyChannel, lengths, prepare, strongestChannel } from './images.mjs'
import { argmaxLabels, softmax, softmaxCrossEntropy } from './loss.mjs'
import { backward, forward, step } from './net.mjs'
import { scoreOf, splitScores, valuesAbove } from './parts.mjs'
import { reachOf } from './reach.mjs'
import { termsOf } from './terms.mjs'

// by title: { title, boxes, arrays, trained, output, split, preprocess, on }; on: the score layers that
// are switched on
const nets = {}
let net                     // the one that is shown
let rgba, size              // the picture
let last                    // { values, caches } of the net for the picture
let shown                   // the values, from the score layers on as the switches leave them

const ANSWERS = {
  // A net of the page; the first one is shown.
  open({ title, description, weights, preprocess }) {
    const { boxes, arrays: shapes, outputs } = description
    const arrays = unpackWeights(weights, shapes)
    const output = outputs[0]
    // the windows of boxes with weights are as large as their kernels
    const known = boxes.map(box => (box.op.startsWith('conv') ? { ...box, kwargs: {
      ...box.kwargs, ksize: arrays[`${box.name}.w`].shape.slice(2) } } : box))
    const split = splitScores(known, output)
    nets[title] = { title, boxes: known, arrays, trained: arrays, output, preprocess, split,
                    on: split.layers }
    net ??= nets[title]
    return { layers: nets[title].split.layers }
  },

  show({ title }) {
    net = nets[title]
    return run()
  },

  picture(message) {
    rgba = message.rgba
    size = message.size
    return run()
  },

  // From now on only these score layers count.
  layers({ layers }) {
    net.on = layers
    return describe()
  },

  // Why a pixel has its class: its scores, their parts, and the window of each box.
  pixel({ pixel }) {
    const score = shown[net.output]
    const at = (pixel[0] * score.size[1] + pixel[1]) * score.channels
    const ofPixel = x => [...x.data.subarray(at, at + score.channels)]
    const parts = net.on.map(layer => (
      { layer, scores: ofPixel(scoreOf(net.split, last.values, net.output, [layer])) }))
    const sizes = Object.fromEntries(Object.entries(last.values).map(([name, x]) => [name, x.size]))
    return { scores: ofPixel(score), probabilities: ofPixel(softmax(score)), parts,
             reach: reachOf(net.boxes, sizes, net.output, pixel) }
  },

  // The channels of a box, one of its values as a sum, and the numbers that it is made of. Of scores
  // the channel of the pixel's class, if no channel is asked for.
  box({ name, channel, unit, pixelClass }) {
    const values = net.split.layers.includes(name) ? last.values : shown, x = values[name]
    const box = net.boxes.find(each => each.name === name)
    const chosen = channel ?? (isOfClasses(name) ? pixelClass : strongestChannel(x).channel)
    const [row, column] = unit ?? x.size.map(n => n >> 1)
    return { channel: chosen, channels: x.channels, unit: [row, column], size: x.size,
             images: [...Array(Math.min(x.channels, 32)).keys()].map(c => greyChannel(x, c)),
             terms: termsOf(box, values, net.arrays, chosen, [row, column]),
             excerpt: excerptOf(box, values, net.arrays, chosen, [row, column]) }
  },

  // One step of SGD on the pixels that have a label: -> gradients as images, and the new mask.
  step({ label, lr }) {
    const { loss, dscore } = softmaxCrossEntropy(last.values[net.output], label)
    const isTrained = name => !/\.(mean|var)$/.test(name)
    const grads = backward(net, last.caches, net.output, dscore, isTrained)
    const images = {}
    for (const box of [...net.boxes, { name: 'data' }]) {
      if (grads[box.name]) images[box.name] = lengths(grads[box.name])
    }
    net.arrays = step(net.arrays, grads, lr)
    const answer = run()
    const after = softmaxCrossEntropy(last.values[net.output], label).loss
    return { ...answer, gradients: images, loss, lossAfter: after }
  },

  // The weights as they were trained.
  reset() {
    for (const title in nets) nets[title].arrays = nets[title].trained
    return run()
  },
}

// The net for the picture -> what the page shows of it
function run() {
  const began = performance.now()
  last = forward(net, prepare(rgba, size, net.preprocess))
  const seconds = (performance.now() - began) / 1000
  return { ...describe(), seconds }
}

// What the page shows, by the score layers that are on.
function describe() {
  const { split, on, output } = net, { values } = last
  const isWhole = on.length === split.layers.length
  shown = isWhole ? values : { ...values, ...valuesAbove(split, values, on) }
  const images = {}
  for (const name in values) {
    const x = split.layers.includes(name) ? values[name] : shown[name]
    if (!(x.data instanceof Float32Array) || name === 'data') continue
    images[name] = isOfClasses(name) ? { size: x.size, labels: argmaxLabels(x) }
      : strongestChannel(x)
  }
  return { title: net.title, labels: argmaxLabels(shown[output]), size: shown[output].size, images,
           layers: split.layers, on }
}

// Whether a box has a channel for each class.
function isOfClasses(name) {
  const { split, output } = net, { values } = last
  return values[name].channels === values[output].channels
    && (split.layers.includes(name) || split.tail.some(box => box.name === name))
}

onmessage = ({ data: { id, kind, ...message } }) => {
  try {
    postMessage({ id, answer: ANSWERS[kind](message) })
  } catch (error) {
    postMessage({ id, error: error.message })
  }
}
