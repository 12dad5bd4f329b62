// The trace of tracing.max_pool: a part of the module that page.py joins.

function maxPool({ x }, { ksize, stride }) {
  const size = sizeOf(x[0])
  const [rows, columns] = size.map(n => {
    const count = Math.ceil((n - ksize) / stride) + 1
    return (count - 1) * stride >= n ? count - 1 : count        // no window begins outside
  })
  if (Math.min(rows, columns) < 1) {
    throw Error(`A window of ${ksize}×${ksize} does not fit into ${size.join('×')}.`)
  }
  const [xNames, yNames, switchNames, unpooledNames] =
    ['x', 'y', 'switches', 'unpooled'].map(name => channelNames(name, x))
  const maxima = x.flatMap((plane, c) => allCells([rows, columns]).map(output => {
    const [top, left] = output.map(n => n * stride)
    const window = allCells(size).filter(
      ([i, j]) => i >= top && i < top + ksize && j >= left && j < left + ksize)
    const values = window.map(([i, j]) => plane[i][j]), value = Math.max(...values)
    const pixel = window[values.indexOf(value)]
    return { c, output, window, value, pixel, number: pixel[0] * size[1] + pixel[1] }
  }))
  const pooling = maxima.map(({ c, output, window, value, pixel, number }) => {
    const sum = { cell: [yNames[c], ...output], how: 'max',
                  terms: window.map(cell => [[xNames[c], ...cell]]) }
    const planes = { [xNames[c]]: x[c], [yNames[c]]: { [output[0]]: { [output[1]]: value } } }
    return {
      formula: `${yNames[c]}[${output}] = max[a,b] ${xNames[c]}${tapAt(window[0])}`,
      caption: `${captionOf(sum, planes)}, found at [${pixel}]: `
        + `switch ${pixel[0]}·${size[1]} + ${pixel[1]} = ${number}`,
      sums: [sum],
      set: { [yNames[c]]: [[...output, value]], [switchNames[c]]: [[...output, number]] },
      highlight: { [xNames[c]]: window, [yNames[c]]: [output], [switchNames[c]]: [output] },
    }
  })
  const sums = x.map(() => fillPlane(size, 0))
  const unpooling = maxima.map(({ c, output, value, pixel: [i, j], number }, n) => {
    const name = unpooledNames[c]
    sums[c][i][j] += value
    const everything = () => Object.fromEntries(unpooledNames.map((each, k) => [
      each, allCells(size).map(([a, b]) => [a, b, sums[k][a][b]])]))
    return {
      formula: `${name}[${i},${j}] += ${yNames[c]}[${output}]`,
      caption: `switch ${number} is [${i},${j}]: ${name}[${i},${j}] += ${formatNumber(value)}`,
      set: n ? { [name]: [[i, j, sums[c][i][j]]] } : everything(),
      highlight: { [yNames[c]]: [output], [switchNames[c]]: [output], [name]: [[i, j]] },
      sums: [{ cell: [name, i, j], how: 'copy', terms: [[[yNames[c], ...output]]] }],
    }
  })
  const colours = coloursOf(x), blank = x.map(() => fillPlane([rows, columns], null))
  const grids = [...gridsOf('x', 'input x', x, { colours }),
    ...gridsOf('y', 'y: the maximum', blank, { colours, sign: '→' }),
    ...gridsOf('switches', 'switches: where it was', blank),
    ...gridsOf('unpooled', 'unpooled: back in place', x.map(() => fillPlane(size, null)),
               { colours, sign: '→' })]
  return { kind: 'grid', title: 'Max pooling, and unpooling by its switches', grids,
           frames: [...pooling, ...unpooling] }
}

TRACES.max_pool = maxPool
