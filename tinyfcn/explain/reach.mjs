// Which units of every box a unit of the output depends on: one interval for each axis.

// -> { box: [[top, bottom], [left, right]] } of all boxes that are reached, the image 'data' too;
// both ends count. Intervals of several readers are joined.
export function reachOf(boxes, sizes, output, pixel) {
  const reach = { [output]: pixel.map(i => [i, i]) }
  for (const box of [...boxes].reverse()) {
    if (!reach[box.name]) continue
    for (const input of box.inputs) {
      const own = reach[box.name].map((interval, axis) => {
        const last = sizes[input][axis] - 1
        const [low, high] = inputInterval(box, interval, axis, last + 1, sizes[box.name][axis])
        return [Math.min(Math.max(low, 0), last), Math.max(Math.min(high, last), 0)]
      })
      reach[input] = reach[input] ? reach[input].map((interval, axis) => join(interval, own[axis]))
        : own
    }
  }
  return reach
}

function join(a, b) {
  return [Math.min(a[0], b[0]), Math.max(a[1], b[1])]
}

// Of an axis with n inputs and `count` outputs: the inputs on which the outputs low … high depend.
function inputInterval({ op, kwargs }, [low, high], axis, n, count) {
  const of = name => kwargs[name]?.[axis]
  switch (op) {
    case 'conv2d': case 'max_pool': case 'max_switches': case 'avg_pool': {
      const ksize = of('ksize')
      const first = i => i * of('stride') - of('pad')
      return [first(low), first(high) + of('dilation') * (ksize - 1)]
    }
    case 'conv_transpose2d':
      return stamped(low, high, of('ksize'), of('stride'), of('pad'), of('dilation'))
    case 'upsample':
      return stamped(low, high, of('ksize'), of('factor'), of('pad'), 1)
    case 'crop':
      return [low + of('offset'), high + of('offset')]
    case 'pad':
      return [low - of('before'), high - of('before')]
    case 'avg_pool_to':
      return [Math.floor(low * n / count), Math.ceil((high + 1) * n / count) - 1]
    case 'resize': {
      const at = i => (kwargs.align_corners ? i * (n - 1) / Math.max(count - 1, 1)
        : (i + .5) * n / count - .5)
      return [Math.floor(at(low)), Math.ceil(at(high))]
    }
    case 'unpool':
      return [Math.floor(low * n / count), Math.floor(high * n / count)]
    default:
      return [low, high]
  }
}

// The inputs whose stamp of ksize, placed every `stride` pixels, covers an output of low … high.
function stamped(low, high, ksize, stride, pad, dilation) {
  return [Math.ceil((low + pad - dilation * (ksize - 1)) / stride),
          Math.floor((high + pad) / stride)]
}
