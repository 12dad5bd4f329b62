// Computes the layers of a stack anew, as tracing.stack does: a test holds it to the library. A
// part of the module that page.py joins.

// -> the frames of a stack, as tracing.stack makes them
function restack({ size, layers }) {
  const frames = [{ caption: `the image: ${size} pixels, pixel i is at i`, size, scale: 1, shift: 0,
                    field: 1 }]
  layers.slice(1).forEach(layer => {
    const before = frames.at(-1)
    frames.push(layer.like ? cropped(layer, before, frameOf({ layers, frames }, layer.like))
      : windowed(layer, before))
  })
  return frames
}

function windowed(layer, before) {
  const { name, op, ksize: k, stride: s, pad: p } = layer, n = before.size
  const isUp = op === 'up', reach = (k - 1) / 2 - p
  const scale = isUp ? before.scale / s : before.scale * s
  const shift = isUp ? before.shift - scale * reach : before.shift + before.scale * reach
  const field = before.field + (isUp ? scale : before.scale) * (k - 1)
  const size = isUp ? s * (n - 1) + k - 2 * p
    : Math[op === 'pool' ? 'ceil' : 'floor']((n + 2 * p - k) / s) + 1
  const isOutside = op === 'pool' && (size - 1) * s >= n + p     // no window begins outside
  const actual = size - isOutside
  if (actual < 1) throw Error(`${name}: a window of ${k} does not fit into ${n + 2 * p} units.`)
  if (op === 'pool' && p >= k) {
    throw Error(`${name}: pad ${p} must be smaller than the kernel, ${k}.`)
  }
  const half = p ? `((${k} − 1)/2 − ${p})` : `(${k} − 1)/2`
  const [old, own] = [before.scale, scale].map(exactText)
  const padded = p ? `${n} + 2·${p}` : n
  const [left, right] = op === 'pool' ? '⌈⌉' : '⌊⌋'
  const sums = isUp
    ? [`${s}·(${n} − 1) + ${k}${p ? ` − 2·${p}` : ''}`, `${old}/${s}`, `− ${own}·${half}`]
    : [`${left}(${padded} − ${k})/${s}${right} + 1${isOutside ? ' − 1' : ''}`, `${old}·${s}`,
       `+ ${old}·${half}`]
  return {
    caption: `${name}: size = ${sums[0]} = ${actual},  scale = ${sums[1]} = ${own},  `
      + `shift = ${exactText(before.shift)} ${sums[2]} = ${exactText(shift)}`,
    size: actual, scale, shift, field,
  }
}

// A crop of what comes before, or a sum with a crop of an earlier layer.
function cropped({ name, op, like: from, offset: chosen }, before, like) {
  const isCrop = op === 'crop'
  const [later, earlier] = isCrop ? [like, before] : [before, like]
  const whole = isCrop ? before : like, part = isCrop ? like : before
  const right = rounded((later.shift - earlier.shift) / before.scale)
  const offset = chosen ?? Math.round(right)
  const sign = earlier.shift < 0 ? '+' : '−'
  const difference = `${exactText(later.shift)} ${sign} ${exactText(Math.abs(earlier.shift))}`
  const sum = `${name}: crop ${isCrop ? 'it' : from} at `
    + `(${difference})/${exactText(before.scale)} = ${exactText(right)}`
  const off = Math.abs(offset - right) * before.scale
  const problem = like.scale !== before.scale ? `, but ${name} and ${from} have different scales`
    : !Number.isInteger(right) ? ', between two units: no crop fits'
      : offset !== right ? `, not at ${offset}: every unit lies ${exactText(off)} pixels off`
        : offset < 0 ? ': it begins too late, and needs more padding before'
          : offset + part.size > whole.size ? `: its ${whole.size} units end too early` : ''
  return {
    caption: sum + problem, size: part.size, scale: before.scale,
    shift: isCrop ? before.shift + before.scale * offset : before.shift,
    field: isCrop ? before.field : Math.max(before.field, like.field), offset,
    ...problem && { problem: true },
  }
}

// Positions are multiples of 1/8 or so; with a stride of 3 they are rounded.
const rounded = value => Math.round(1e4 * value) / 1e4
const exactText = value => `${typeof value === 'number' ? rounded(value) : value}`.replace('-', '−')

const frameOf = ({ layers, frames }, name) => frames[layers.findIndex(each => each.name === name)]
