// Computes a trace anew from the numbers that a reader has changed: small ops, held to those of the
// library by a test, which compares whole traces. A part of the module that page.py joins.
//
// arrays {x, w}: lists of planes, one for each channel; numbers {stride, pad, …}

const MAX_CELLS = 900                               // more than a reader could read

const range = n => [...Array(n).keys()]
const allCells = ([high, wide]) => range(high).flatMap(i => range(wide).map(j => [i, j]))
const sizeOf = plane => [plane.length, plane[0].length]
const fillPlane = ([high, wide], value) => range(high).map(() => Array(wide).fill(value))
const channelNames = (name, planes) =>
  planes.length === 1 ? [name] : planes.map((_, c) => `${name}[${c}]`)
const cellsIn = (names, cells) => names.flatMap(name => cells.map(cell => [name, ...cell]))
const pairUp = (a, b) => a.map((cell, k) => [cell, b[k]])
const gridsOf = (name, title, planes, more) => planes.map((values, c) => ({
  name: channelNames(name, planes)[c], row: 0, dim: [], values, ...more, ...c && { below: true },
  title: planes.length === 1 ? title : `${title}, channel ${c}`,
}))
const coloursOf = planes => planes.flat(2).every(value => value >= 0) ? 'shade' : 'signed'
const column = values => values.map(value => [value])

// The sum over a window that starts at `start`, with the indices of this step.
function windowFormula(output, a, b, channels, start, step = 1) {
  const [channel, letters] = channels > 1 ? ['[c]', 'c,a,b'] : ['', 'a,b']
  return `y[${output}] = Σ[${letters}] ${a}${channel}[a,b] · ${b}${channel}${tapAt(start, step)}`
}

// The cell of tap a, b in a window that starts at `start`, as text.
function tapAt(start, step = 1) {
  const taps = ['a', 'b'].map(letter => step === 1 ? letter : `${step}·${letter}`)
  return `[${taps.map((tap, axis) => start[axis] ? `${start[axis]}+${tap}` : tap)}]`
}

// The equation of a sum as text; planes {grid: rows} are the values that it is about.
function captionOf(sum, planes, before) {
  return equation(sum, ([grid, i, j]) => planes[grid][i][j], before).map(([text]) => text).join('')
}

function padPlane(plane, pad) {
  const [high, wide] = sizeOf(plane), padded = fillPlane([high + 2 * pad, wide + 2 * pad], 0)
  plane.forEach((row, i) => row.forEach((value, j) => { padded[i + pad][j + pad] = value }))
  return padded
}

function borderOf([high, wide], pad) {
  const isInside = (n, size) => n >= pad && n < size + pad
  return allCells([high + 2 * pad, wide + 2 * pad]).filter(
    ([i, j]) => !isInside(i, high) || !isInside(j, wide))
}

// The size of the output, and for each output the cells that its window reads.
function windowsOf(size, ksize, stride, dilation = 1) {
  const outputSize = size.map(
    (n, axis) => Math.floor((n - dilation * (ksize[axis] - 1) - 1) / stride) + 1)
  if (Math.min(...outputSize) < 1) {
    throw Error(`A window of ${ksize.join('×')} does not fit into ${size.join('×')}: `
      + `take a smaller dilation, or a larger pad.`)
  }
  const windows = allCells(outputSize).map(([i, j]) => allCells(ksize).map(
    ([a, b]) => [i * stride + a * dilation, j * stride + b * dilation]))
  return { outputSize, windows }
}

const planesOf = (names, planes) => Object.fromEntries(names.map((name, c) => [name, planes[c]]))
const fromKeys = (names, value) => Object.fromEntries(names.map(name => [name, value]))

// Number of the cell of window n that lies in most windows before it: its sum has most terms.
function mostCovered(windows, n) {
  const channel = Math.floor(n / windows.length)
  const earlier = [...range(channel).flatMap(() => windows),
                   ...windows.slice(0, n % windows.length)]
  const counts = windows[n % windows.length].map(([i, j]) => earlier.filter(
    window => window.some(([a, b]) => a === i && b === j)).length)
  return counts.indexOf(Math.max(...counts))
}

// The functions that compute a trace, each in a file of its own.
const TRACES = {}

// The trace of the same function for other arrays and numbers.
function retrace(edit) {
  const trace = TRACES[edit.function](edit.arrays, edit.numbers)
  if (trace.grids.some(({ values }) => values.flat().length > MAX_CELLS)) {
    throw Error('Too many cells to read: take a smaller size.')
  }
  return { ...trace, edit }
}
