// Above its score layers an FCN only crops, adds and upsamples. That is linear, so a score is the
// sum of what each score layer contributes to it, as in the library's prediction/pixel.py.
import { OPS } from './ops.mjs'
import { likeTensor } from './tensor.mjs'

const LINEAR = new Set(['add', 'crop', 'pad', 'resize', 'scale', 'upsample'])

// -> { layers, tail }: the names of the score layers, and the boxes above them, in order
export function splitScores(boxes, output) {
  const byName = Object.fromEntries(boxes.map(box => [box.name, box]))
  const layers = new Set(), tail = new Set(), above = [output]
  while (above.length) {
    const box = byName[above.pop()]
    if (box && LINEAR.has(box.op)) {
      tail.add(box.name)
      above.push(...box.inputs)
    } else if (box) {
      layers.add(box.name)
    }
  }
  const inOrder = names => boxes.filter(box => names.has(box.name))
  return { layers: inOrder(layers).map(box => box.name), tail: inOrder(tail) }
}

// The values of the output if of all score layers only these had values.
export const scoreOf = (split, values, output, layers) => (
  valuesAbove(split, values, layers)[output])

// The same of every box from the score layers to the output. -> { name: values }
export function valuesAbove(split, values, layers) {
  const found = {}
  for (const name of split.layers) {
    const value = values[name]
    found[name] = layers.includes(name) ? value
      : likeTensor(value, new Float32Array(value.data.length))
  }
  for (const box of split.tail) {
    const kwargs = box.like ? { ...box.kwargs, size: values[box.like].size } : box.kwargs
    found[box.name] = OPS[box.op][0](box.inputs.map(name => found[name]), kwargs)[0]
  }
  return found
}
