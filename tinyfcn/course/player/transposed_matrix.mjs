// The trace of tracing.transposed_matrix: a part of the module that page.py joins.

function transposedMatrix({ x, w }, { stride, pad }) {
  const xNames = channelNames('x', x), wNames = channelNames('w', w)
  const ksize = sizeOf(w[0]), cells = allCells(sizeOf(x[0])), taps = allCells(ksize)
  const size = sizeOf(x[0]).map((n, axis) => stride * (n - 1) + ksize[axis] - 2 * pad)
  if (Math.min(...size) < 1) throw Error(`pad ${pad} crops all of the output: take a smaller pad.`)
  if (size[0] * size[1] * x.length * cells.length > MAX_CELLS) {
    throw Error(`Mᵀ has ${size[0] * size[1]} rows and ${x.length * cells.length} columns, `
      + 'too many to read: take a smaller stride, or a larger pad.')
  }
  const inputs = x.flatMap((plane, c) => cells.map(([i, j]) => ({ c, cell: [i, j] })))
  // for each x the pixels of y that it adds to, each with its cell of the kernel
  const reached = inputs.map(({ cell }) => taps
    .map(tap => ({ tap, pixel: tap.map((k, axis) => stride * cell[axis] + k - pad) }))
    .filter(({ pixel }) => pixel.every((k, axis) => k >= 0 && k < size[axis])))
  const windows = reached.map(each => each.map(({ pixel }) => pixel))
  const names = inputs.map((_, n) => `Mᵀ[${n}]`)
  const columns = inputs.map(({ c }, n) => {
    const image = fillPlane(size, 0)
    reached[n].forEach(({ tap, pixel }) => { image[pixel[0]][pixel[1]] = w[c][tap[0]][tap[1]] })
    return image
  })
  const y = fillPlane(size, 0)
  const planes = { y, ...planesOf(xNames, x), ...planesOf(names, columns) }
  const frames = inputs.map(({ c, cell }, n) => {
    const before = y.map(row => [...row]), value = x[c][cell[0]][cell[1]]
    windows[n].forEach(([i, j]) => { y[i][j] += value * columns[n][i][j] })
    const sums = windows[n].map(pixel => ({
      cell: ['y', ...pixel], how: 'add', terms: [[[xNames[c], ...cell], [names[n], ...pixel]]],
    }))
    const copies = reached[n].map(({ tap, pixel }) => (
      { cell: [names[n], ...pixel], how: 'copy', terms: [[[wNames[c], ...tap]]] }))
    const start = `${xNames[c]}[${cell}]`
    let caption = `${start} adds nothing: pad crops its whole window`
    if (sums.length) {
      const chosen = mostCovered(windows, n), [i, j] = windows[n][chosen]
      caption = `y += ${start} · column ${n}:  ${captionOf(sums[chosen], planes, before[i][j])}`
    }
    return {
      formula: `y[i,j] += ${start} · ${names[n]}[i,j]`, caption, sums: [...copies, ...sums],
      set: { [names[n]]: allCells(size).map(([i, j]) => [i, j, columns[n][i][j]]),
             y: windows[n].map(([i, j]) => [i, j, y[i][j]]) },
      highlight: { [xNames[c]]: [cell], [wNames[c]]: reached[n].map(({ tap }) => tap),
                   [names[n]]: windows[n], y: windows[n] },
    }
  })
  const colours = 'signed', isIn = (list, [i, j]) => list.some(([a, b]) => a === i && b === j)
  const grids = [...gridsOf('x', 'input x', x, { colours: coloursOf(x) }),
    ...gridsOf('w', 'kernel w', w, { colours }),
    ...gridsOf('y', 'output y, so far', [fillPlane(size, 0)],
               { sign: '→', colours: coloursOf([y]) }),
    ...names.flatMap((name, n) => gridsOf(name, `Mᵀ, column ${n}`, [fillPlane(size, null)], {
      row: 1, colours, dim: allCells(size).filter(pixel => !isIn(windows[n], pixel)) }))]
  return { kind: 'grid', title: 'Transposed convolution: y = Mᵀ x, each column as an image', grids,
           frames, dim_legend: 'no tap: 0' }
}

TRACES.transposed_matrix = transposedMatrix
