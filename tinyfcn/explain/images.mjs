// Between pixels and tensors: what a net reads, and what a page shows of a value.
import { emptyTensor } from './tensor.mjs'

// (scale · pixel − mean) / std, in the channel order of the weights. rgba: as canvases give it
export function prepare(rgba, size, { order, scale, mean, std }) {
  const x = emptyTensor(size, 3)
  for (let pixel = 0; pixel < size[0] * size[1]; pixel++) {
    for (let c = 0; c < 3; c++) {
      const from = order === 'BGR' ? 2 - c : c
      x.data[pixel * 3 + c] = (rgba[pixel * 4 + from] * scale - mean[c]) / std[c]
    }
  }
  return x
}

// The channel whose values are largest on average, and its values from 0 to 255.
export function strongestChannel(x) {
  const sums = new Float64Array(x.channels)
  for (let i = 0; i < x.data.length; i++) sums[i % x.channels] += Math.abs(x.data[i])
  const channel = sums.indexOf(Math.max(...sums))
  return { channel, ...greyChannel(x, channel) }
}

export function greyChannel(x, channel) {
  const pixels = new Uint8Array(x.size[0] * x.size[1])
  let largest = 0
  for (let i = channel; i < x.data.length; i += x.channels) {
    largest = Math.max(largest, Math.abs(x.data[i]))
  }
  for (let pixel = 0; pixel < pixels.length && largest; pixel++) {
    pixels[pixel] = 255 * Math.abs(x.data[pixel * x.channels + channel]) / largest
  }
  return { size: x.size, pixels, largest }
}

// √Σ x² over the channels of every pixel, from 0 to 255.
export function lengths(x) {
  const norm = emptyTensor(x.size, 1)
  for (let i = 0; i < x.data.length; i++) norm.data[Math.floor(i / x.channels)] += x.data[i] ** 2
  norm.data.forEach((sum, pixel) => { norm.data[pixel] = Math.sqrt(sum) })
  return greyChannel(norm, 0)
}
