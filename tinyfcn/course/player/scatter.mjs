// The trace of tracing.scatter: a part of the module that page.py joins.

function scatter({ x, w }, { stride, pad }) {
  const xNames = channelNames('x', x), wNames = channelNames('w', w)
  const inputs = allCells(sizeOf(x[0])), taps = allCells(sizeOf(w[0]))
  const size = sizeOf(x[0]).map((n, axis) => stride * (n - 1) + sizeOf(w[0])[axis])
  if (Math.min(...size) <= 2 * pad) {
    throw Error(`pad ${pad} crops all of an output of ${size.join('×')}: take a smaller pad.`)
  }
  const { windows } = windowsOf(size, sizeOf(w[0]), stride)
  const border = borderOf(size.map(n => n - 2 * pad), pad)
  const y = fillPlane(size, 0)
  const frames = x.flatMap((plane, c) => inputs.map((cell, k) => {
    const window = windows[k], value = plane[cell[0]][cell[1]]
    const before = y.map(row => [...row])
    window.forEach(([i, j], t) => { y[i][j] += value * w[c].flat()[t] })
    const sums = window.map((each, t) => ({
      cell: ['y', ...each], how: 'add', terms: [[[xNames[c], ...cell], [wNames[c], ...taps[t]]]],
    }))
    const chosen = mostCovered(windows, c * inputs.length + k)
    const [i, j] = window[chosen]
    const planes = { y, [xNames[c]]: plane, [wNames[c]]: w[c] }
    return {
      formula: `y${tapAt(window[0])} += ${xNames[c]}[${cell}] · ${wNames[c]}[a,b]`,
      caption: `y += ${xNames[c]}[${cell}] · ${wNames[c]}:  `
        + captionOf(sums[chosen], planes, before[i][j]),
      sums, set: { y: window.map(([a, b]) => [a, b, y[a][b]]) },
      highlight: { [xNames[c]]: [cell], [wNames[c]]: taps, y: window },
    }
  }))
  const title = `output y, so far${border.length ? ': pad crops its border' : ''}`
  const grids = [...gridsOf('x', 'input x', x, { colours: coloursOf(x) }),
    ...gridsOf('w', 'kernel w', w, { sign: '×', colours: 'signed' }),
    ...gridsOf('y', title, [fillPlane(size, 0)],
               { sign: '→', dim: border, colours: coloursOf([y]) })]
  return { kind: 'grid', title: 'Transposed convolution: each x adds x·w', grids, frames,
           dim_legend: 'cropped' }
}

TRACES.scatter = scatter
