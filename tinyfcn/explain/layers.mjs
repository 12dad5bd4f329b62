// Lines of a model, as the library writes them, and what follows from them without running a net:
//
//     pool1 = max_pool(relu1_2, 2)
//
// -> of every box its size, and its alignment with the image: unit i is centred on the pixel
// scale · i + shift, and depends on `field` pixels (the library's net/alignment.py).
import { fraction, fractionText, isEqual, maximum, minus, over, plus, times,
         toNumber } from './fraction.mjs'

// The arguments of each layer in order; a star collects all others, which are boxes.
const ARGUMENTS = {
  add: ['*'], concat: ['*'], multiply: ['*'],
  conv: ['x', 'channels', 'ksize', 'stride', 'pad', 'dilation', 'groups'],
  deconv: ['x', 'channels', 'ksize', 'stride', 'pad', 'groups'],
  upsample: ['x', 'factor', 'ksize', 'pad'],
  max_pool: ['x', 'ksize', 'stride', 'pad', 'ceil', 'dilation'],
  max_switches: ['x', 'ksize', 'stride', 'pad', 'ceil', 'dilation'],
  avg_pool: ['x', 'ksize', 'stride', 'pad', 'ceil', 'dilation'],
  take: ['x', 'switches'],
  unpool: ['x', 'switches', 'like'],
  avg_pool_to: ['x', 'bins'],
  resize: ['x', 'like', 'align_corners', 'mode'],
  crop: ['x', 'like', 'offset'],
  pad: ['x', 'before', 'after', 'value'],
  relu: ['x'], leaky_relu: ['x', 'slope'], dropout: ['x', 'p'], scale: ['x', 'factor'],
  channels: ['x', 'start', 'stop'], batch_norm: ['x'],
  local_response_norm: ['x', 'size', 'alpha', 'beta', 'k'],
}
const DEFAULTS = { stride: 1, pad: 0, dilation: 1, offset: null, after: null }
const ORIGIN = { scale: [[1, 1], [1, 1]], shift: [[0, 1], [0, 1]], field: [[1, 1], [1, 1]] }

// ---- Reading

// text -> [{ name, layer, inputs, like, arguments }], inner calls before the lines that they are in
export function readLayers(text) {
  const boxes = [], names = new Set(['data'])
  text.split('\n').forEach((line, i) => {
    const bare = line.replace(/#.*/, '').trim()
    if (!bare) return
    try {
      const [, name, call] = bare.match(/^(?:n\.)?([^\s=]+)\s*=\s*(.+)$/) ?? []
      if (!name) throw new Error('a line is NAME = LAYER(BOX, …), as pool1 = max_pool(conv1, 2)')
      if (names.has(name)) throw new Error(`there are two boxes called ${name}`)
      readCall(call, name, boxes, names)
    } catch (error) {
      throw new Error(`line ${i + 1}: ${error.message}`, { cause: error })
    }
  })
  return boxes
}

function readCall(text, name, boxes, names) {
  const [, layer, inside] = text.match(/^(\w+)\((.*)\)$/) ?? []
  const known = ARGUMENTS[layer]
  if (!known) {
    const names = Object.keys(ARGUMENTS).join(', ')
    throw new Error(`${layer ?? text} is no layer; there are ${names}`)
  }
  const values = {}, inputs = []
  splitArguments(inside).forEach((argument, i) => {
    const [, keyword, value] = argument.match(/^(\w+)=(.*)$/) ?? [null, null, argument]
    const key = keyword ?? (known[0] === '*' ? '*' : known[i])
    if (key === undefined) throw new Error(`${layer} has no argument number ${i + 1}`)
    if (['*', 'x', 'switches'].includes(key)) inputs.push(readBox(value, name, boxes, names))
    else if (key === 'like') values.like = readBox(value, name, boxes, names)
    else values[key] = readValue(value)
  })
  if (!inputs.length) throw new Error(`${layer} reads no box; name one, such as ${layer}(data, …)`)
  const { like, ...rest } = values
  boxes.push({ name, layer, inputs, like, arguments: rest, text })
  names.add(name)
}

function readBox(text, name, boxes, names) {
  const bare = text.replace(/^n\./, '')
  if (bare.includes('(')) {
    const inner = `${name}/${bare.slice(0, bare.indexOf('('))}${boxes.length}`
    readCall(bare, inner, boxes, names)
    return inner
  }
  if (!names.has(bare)) throw new Error(`there is no box called ${bare} above`)
  return bare
}

// 'x, 21, (3, 3), pad=1' -> ['x', '21', '(3, 3)', 'pad=1']
function splitArguments(text) {
  const parts = []
  let depth = 0, start = 0
  for (let i = 0; i <= text.length; i++) {
    if ('([{'.includes(text[i])) depth++
    if (')]}'.includes(text[i])) depth--
    if (i === text.length || (text[i] === ',' && !depth)) {
      const part = text.slice(start, i).trim()
      if (part) parts.push(part)
      start = i + 1
    }
  }
  return parts
}

// A whole number, a pair of them, True, False, None, or any other text as it is.
function readValue(text) {
  const pair = text.match(/^[([]\s*(-?\d+)\s*,\s*(-?\d+)\s*[)\]]$/)
  if (pair) return [+pair[1], +pair[2]]
  if (/^-?\d+$/.test(text)) return +text
  return { True: true, False: false, None: null }[text] ?? text
}

// ---- What follows

// boxes, [height, width] -> { name: { size, alignment, crop } }; a box that does not fit throws
export function measureLayers(boxes, size) {
  const found = { data: { size, alignment: ORIGIN } }
  for (const box of boxes) {
    try {
      found[box.name] = measure(box, box.inputs.map(name => found[name]), found[box.like])
    } catch (error) {
      throw new Error(`${box.name} = ${box.text}: ${error.message}`, { cause: error })
    }
  }
  return found
}

function measure(box, inputs, like) {
  const [x] = inputs
  const of = name => pairOf(box.arguments[name] ?? DEFAULTS[name], name, box.layer)
  switch (box.layer) {
    case 'conv':
      return windowed(x, of('ksize'), of('stride'), of('pad'), of('dilation'), convCount)
    case 'max_pool': case 'max_switches': case 'avg_pool': {
      const stride = box.arguments.stride == null ? of('ksize') : of('stride')
      const count = box.arguments.ceil === false ? convCount : poolCount
      return windowed(x, of('ksize'), stride, of('pad'), of('dilation'), count)
    }
    case 'deconv':
      return transposed(x, of('ksize'), of('stride'), of('pad'))
    case 'upsample': {
      const factor = of('factor')
      const ksize = box.arguments.ksize == null ? factor.map(bilinearSize) : of('ksize')
      return transposed(x, ksize, factor, of('pad'))
    }
    case 'crop':
      return cropped(x, like, box)
    case 'pad': {
      const before = of('before')
      const after = box.arguments.after == null ? before : of('after')
      return { size: x.size.map((n, i) => n + before[i] + after[i]),
               alignment: shifted(x.alignment, before.map(n => -n)) }
    }
    case 'resize': case 'unpool':
      return { size: like.size, alignment: like.alignment && resampled(x, like) }
    case 'avg_pool_to':
      return { size: of('bins'), alignment: null }
    case 'take':
      return { size: inputs[1].size, alignment: inputs[1].alignment }
    case 'add': case 'concat': case 'multiply':
      return joined(inputs, box)
    default:
      return { size: x.size, alignment: x.alignment }
  }
}

function pairOf(value, name, layer) {
  if (value === undefined) throw new Error(`${layer} needs ${name}`)
  const pair = Array.isArray(value) ? value : [value, value]
  if (!pair.every(n => Number.isInteger(n) && n >= 0)) {
    throw new Error(`${name} is ${value}; a whole number of 0 or more is needed`)
  }
  return pair
}

const convCount = (n, reach, stride, pad) => Math.floor((n + 2 * pad - reach) / stride) + 1

// Caffe's rule: rounded up, less a window that would begin beyond image and left pad
function poolCount(n, reach, stride, pad) {
  const count = Math.ceil((n + 2 * pad - reach) / stride) + 1
  return (count - 1) * stride >= n + pad ? count - 1 : count
}

const bilinearSize = factor => 2 * factor - factor % 2

function windowed(x, ksize, stride, pad, dilation, count) {
  const reach = ksize.map((k, i) => dilation[i] * (k - 1))
  const size = x.size.map((n, i) => count(n, reach[i] + 1, stride[i], pad[i]))
  if (Math.min(...size) < 1) {
    throw new Error(`a window of ${reach[0] + 1}×${reach[1] + 1} does not fit into `
      + `${x.size[0]}×${x.size[1]}, padded by ${pad[0]}×${pad[1]}`)
  }
  const alignment = x.alignment && {
    scale: x.alignment.scale.map((s, i) => times(s, [stride[i], 1])),
    shift: x.alignment.shift.map((b, i) => plus(b, times(
      x.alignment.scale[i], minus(fraction(reach[i], 2), [pad[i], 1])))),
    field: x.alignment.field.map((f, i) => plus(f, times(x.alignment.scale[i], [reach[i], 1]))),
  }
  return { size, alignment }
}

function transposed(x, ksize, stride, pad) {
  const size = x.size.map((n, i) => (n - 1) * stride[i] + ksize[i] - 2 * pad[i])
  if (Math.min(...size) < 1) throw new Error(`pad ${pad} leaves nothing of it`)
  const fine = x.alignment?.scale.map((s, i) => over(s, [stride[i], 1]))
  const alignment = x.alignment && {
    scale: fine,
    shift: x.alignment.shift.map((b, i) => minus(b, times(
      fine[i], minus(fraction(ksize[i] - 1, 2), [pad[i], 1])))),
    field: x.alignment.field.map((f, i) => plus(f, times(fine[i], [ksize[i] - 1, 1]))),
  }
  return { size, alignment }
}

function shifted(alignment, offset) {
  return alignment && { ...alignment, shift: alignment.shift.map(
    (b, i) => plus(b, times(alignment.scale[i], [offset[i], 1]))) }
}

function resampled(x, like) {
  if (!x.alignment) return like.alignment
  return { ...like.alignment,
           field: x.alignment.field.map((f, i) => plus(f, x.alignment.scale[i])) }
}

function cropped(x, like, box) {
  if (!like) throw new Error('crop needs like=BOX')
  const offset = box.arguments.offset == null ? cropOffset(x, like, box)
    : pairOf(box.arguments.offset, 'offset', 'crop')
  if (x.size.some((n, i) => offset[i] + like.size[i] > n)) {
    throw new Error(`${like.size[0]}×${like.size[1]} from ${offset[0]}, ${offset[1]} on is not `
      + `inside ${x.size[0]}×${x.size[1]}`)
  }
  return { size: like.size, alignment: shifted(x.alignment, offset), crop: offset }
}

// How many units of x precede unit 0 of `like`: 19; 5, 27; 5, 9, 31 for FCN-32s, 16s, 8s.
function cropOffset(x, like, box) {
  const [own, other] = [x.alignment, like.alignment]
  if (!own || !other) throw new Error('without an alignment; give offset=(rows, columns)')
  if (!own.scale.every((s, i) => isEqual(s, other.scale[i]))) {
    throw new Error(`${box.inputs[0]} has a unit for every ${fractionText(own.scale[0])} pixels, `
      + `${box.like} for every ${fractionText(other.scale[0])}: bring them to one stride first`)
  }
  const offset = own.shift.map((b, i) => over(minus(other.shift[i], b), own.scale[i]))
  if (offset.some(([, d]) => d !== 1)) {
    throw new Error(`${box.inputs[0]} begins ${toNumber(offset[0])} units before ${box.like}, `
      + 'between two pixels: take a bilinear kernel that is one smaller (ksize = 2·factor − 1), or '
      + 'change a pad')
  }
  if (offset.some(([n]) => n < 0)) {
    throw new Error(`${box.inputs[0]} begins ${-toNumber(offset[0])} units after ${box.like}: it `
      + 'needs more padding upstream')
  }
  return offset.map(([n]) => n)
}

function joined(inputs, box) {
  const [first, ...others] = inputs
  let alignment = first.alignment
  others.forEach((other, i) => {
    if (first.size.some((n, axis) => n !== other.size[axis])) {
      throw new Error(`${box.inputs[0]} is ${first.size[0]}×${first.size[1]}, `
        + `${box.inputs[i + 1]} ${other.size[0]}×${other.size[1]}: crop one like the other`)
    }
    if (!alignment || !other.alignment) {
      alignment = null
      return
    }
    const differs = ['scale', 'shift'].some(key => !alignment[key].every(
      (value, axis) => isEqual(value, other.alignment[key][axis])))
    if (differs) {
      throw new Error(`${box.inputs[0]} and ${box.inputs[i + 1]} do not lie over the same pixels: `
        + 'crop one like the other')
    }
    alignment = { ...alignment, field: alignment.field.map(
      (f, axis) => maximum(f, other.alignment.field[axis])) }
  })
  return { size: first.size, alignment }
}
