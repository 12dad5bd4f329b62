// The traces of tracing.convolution and tracing.im2col: a part of the module that page.py joins.

function convolve({ x, w }, { stride, pad, dilation }) {
  const padded = x.map(plane => padPlane(plane, pad))
  const { outputSize, windows } = windowsOf(sizeOf(padded[0]), sizeOf(w[0]), stride, dilation)
  const taps = w.flat(2)
  const columns = windows.map(
    window => padded.flatMap(plane => window.map(([i, j]) => plane[i][j])))
  const sums = columns.map(values => values.reduce((sum, value, k) => sum + value * taps[k], 0))
  const y = fillPlane(outputSize, 0)
  allCells(outputSize).forEach(([i, j], n) => { y[i][j] = sums[n] })
  const border = borderOf(sizeOf(x[0]), pad)
  const title = border.length ? 'input x, padded' : 'input x'
  const inputs = gridsOf('x', title, padded, { dim: border, colours: coloursOf(padded) })
  return { padded, outputSize, windows, columns, y, inputs }
}

function convolution(arrays, numbers) {
  const { x, w } = arrays
  const { padded, outputSize, windows, y, inputs } = convolve(arrays, numbers)
  const xNames = channelNames('x', padded), wNames = channelNames('w', w)
  const taps = allCells(sizeOf(w[0]))
  const planes = { y, ...planesOf(xNames, padded), ...planesOf(wNames, w) }
  const frames = allCells(outputSize).map((cell, n) => {
    const sum = { cell: ['y', ...cell],
                  terms: pairUp(cellsIn(wNames, taps), cellsIn(xNames, windows[n])) }
    return {
      formula: windowFormula(cell, 'w', 'x', x.length, windows[n][0], numbers.dilation),
      caption: captionOf(sum, planes), sums: [sum],
      set: { y: [[...cell, y[cell[0]][cell[1]]]] },
      highlight: { ...fromKeys(xNames, windows[n]), ...fromKeys(wNames, taps), y: [cell] },
    }
  })
  const grids = [...inputs,
    ...gridsOf('w', 'kernel w', w, { sign: '∗', colours: 'signed' }),
    ...gridsOf('y', 'output y', [fillPlane(outputSize, null)],
               { sign: '=', colours: coloursOf([y]) })]
  return { kind: 'grid', title: 'Convolution: window × kernel = one output', grids, frames }
}

function im2col(arrays, numbers) {
  const { x, w } = arrays
  const { padded, outputSize, windows, columns, y, inputs } = convolve(arrays, numbers)
  const xNames = channelNames('x', padded)
  const kernel = column(w.flat(2)), count = kernel.length
  const cols = range(count).map(k => columns.map(values => values[k]))
  const planes = { y, w: kernel, cols, ...planesOf(xNames, padded) }
  const frames = allCells(outputSize).map((cell, n) => {
    const rows = range(count).map(k => [k, n])
    const reads = cellsIn(xNames, windows[n])
    const copies = rows.map((row, k) => (
      { cell: ['cols', ...row], terms: [[reads[k]]], how: 'copy' }))
    const sum = { cell: ['y', ...cell],
                  terms: rows.map(row => [['w', row[0], 0], ['cols', ...row]]) }
    return {
      formula: `y[${cell}] = Σ[k] w[k,0] · cols[k,${n}]`,
      caption: captionOf(sum, planes), sums: [...copies, sum],
      set: { cols: rows.map(([k]) => [k, n, cols[k][n]]), y: [[...cell, y[cell[0]][cell[1]]]] },
      highlight: { ...fromKeys(xNames, windows[n]), w: allCells([count, 1]), cols: rows,
                   y: [cell] },
    }
  })
  const below = { row: 1 }
  const grids = [...inputs,
    ...gridsOf('y', 'output y', [fillPlane(outputSize, null)],
               { sign: '→', colours: coloursOf([y]) }),
    ...gridsOf('w', 'w', [kernel], { ...below, colours: 'signed' }),
    ...gridsOf('cols', 'cols: a column for each window', [fillPlane(sizeOf(cols), null)],
               { ...below, sign: '·', colours: coloursOf([cols]) })]
  return { kind: 'grid', title: 'im2col: every window becomes a column', grids, frames }
}

Object.assign(TRACES, { convolution, im2col })
