// A net is a list of boxes: { name, op, inputs, like, weights, kwargs }. Forward walks the list;
// backward walks it in reverse; where a value was read twice, its gradients add.
import { OPS } from './ops.mjs'
import { addTensors } from './tensor.mjs'

// -> { values, caches } by box; report(box) after each
export function forward({ boxes, arrays }, image, report = () => {}) {
  const values = { data: image }, caches = {}
  for (const box of boxes) {
    const inputs = [...box.inputs.map(name => values[name]),
                    ...box.weights.map(name => arrays[name])]
    const kwargs = box.like ? { ...box.kwargs, size: values[box.like].size } : box.kwargs
    const [run] = OPS[box.op]
    try {
      [values[box.name], caches[box.name]] = run(inputs, kwargs)
    } catch (error) {
      throw new Error(`${box.line}: ${error.message}`, { cause: error })
    }
    report(box)
  }
  return { values, caches }
}

// The gradients of all boxes and weights, by name; trained(name) says which weights need one.
export function backward({ boxes, arrays }, caches, output, dscore, trained = () => true,
                         report = () => {}) {
  const grads = { [output]: dscore }
  for (const box of [...boxes].reverse()) {
    if (!grads[box.name]) continue
    const names = [...box.inputs, ...box.weights]
    const want = names.map(name => !(name in arrays) || trained(name))
    const [, runBackward] = OPS[box.op]
    runBackward(grads[box.name], caches[box.name], want).forEach((d, i) => {
      const name = names[i]
      if (d) grads[name] = name in grads ? addTensors(grads[name], d) : d
    })
    report(box)
  }
  return grads
}

// w − lr · dw of every weight that has a gradient -> new arrays
export function step(arrays, grads, lr) {
  const next = { ...arrays }
  for (const name in arrays) {
    if (!grads[name]) continue
    const { data } = grads[name]
    next[name] = { ...arrays[name], data: arrays[name].data.map((w, i) => w - lr * data[i]) }
  }
  return next
}
