// The trace of tracing.zero_insert: a part of the module that page.py joins.

function zeroInsert({ x, w }, { stride, pad }) {
  const ksize = sizeOf(w[0]), border = ksize.map(k => k - 1 - pad)
  if (Math.min(...border) < 0) {
    throw Error(`pad ${pad} is larger than ksize − 1 for a kernel of ${ksize.join('×')}: `
      + 'no zeros are left to put around x')
  }
  const size = sizeOf(x[0]).map((n, axis) => stride * (n - 1) + 1 + 2 * border[axis])
  const isPixel = fillPlane(size, false)
  const expanded = x.map(plane => {
    const zeros = fillPlane(size, 0)
    allCells(sizeOf(plane)).forEach(([i, j]) => {
      const [row, column] = [border[0] + stride * i, border[1] + stride * j]
      zeros[row][column] = plane[i][j]
      isPixel[row][column] = true
    })
    return zeros
  })
  const flipped = w.map(plane => plane.map(row => row.toReversed()).toReversed())
  const { outputSize, windows } = windowsOf(size, ksize, 1)
  const names = channelNames('expanded', x), wNames = channelNames('w', w)
  const taps = allCells(ksize), outputs = allCells(outputSize)
  const planes = { ...planesOf(names, expanded), ...planesOf(wNames, flipped) }
  planes.y = fillPlane(outputSize, 0)
  const sums = outputs.map(([i, j], n) => {
    const terms = pairUp(cellsIn(wNames, taps), cellsIn(names, windows[n]))
      .filter(([, [, row, column]]) => isPixel[row][column])
    planes.y[i][j] = terms.reduce((sum, cells) => sum + cells.reduce(
      (product, [name, row, column]) => product * planes[name][row][column], 1), 0)
    return { cell: ['y', i, j], terms }
  })
  const frames = outputs.map((cell, n) => ({
    formula: windowFormula(cell, 'w', 'expanded', x.length, windows[n][0]),
    caption: sums[n].terms.length ? captionOf(sums[n], planes)
      : `y[${cell}] = 0: the window contains only zeros`,
    sums: [sums[n]], set: { y: [[...cell, planes.y[cell[0]][cell[1]]]] },
    highlight: { ...fromKeys(names, windows[n]), ...fromKeys(wNames, taps), y: [cell] },
  }))
  const dim = allCells(size).filter(([i, j]) => !isPixel[i][j]), colours = coloursOf(x)
  const grids = [...gridsOf('x', 'input x', x, { colours }),
    ...gridsOf('expanded', 'x with zeros between and around', expanded,
               { sign: '→', dim, colours }),
    ...gridsOf('w', 'w, flipped', flipped, { sign: '∗', colours: 'signed' }),
    ...gridsOf('y', 'output y', [fillPlane(outputSize, null)],
               { sign: '=', colours: coloursOf([planes.y]) })]
  return { kind: 'grid', title: 'Transposed convolution: insert zeros, then convolve', grids,
           frames, dim_legend: 'inserted zeros' }
}

TRACES.zero_insert = zeroInsert
