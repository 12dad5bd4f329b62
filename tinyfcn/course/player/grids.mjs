// Grids of numbers: a part of the module that page() joins.

const HIGH = 30, LETTER = 8.2, EDGE = 2             // of a cell, of a letter in it, around a grid
const WIDE = 620, TALL = 600, LEAST = 0.75          // from where on grids shrink, and how far

function grids(stage, trace) {
  const sizes = trace.grids.map(({ name, values }) => {
    const set = trace.frames.flatMap(frame => (frame.set?.[name] ?? []).map(cell => cell[2]))
    const longest = Math.max(...[...values.flat(), ...set].map(text => `${text ?? ''}`.length))
    const wide = Math.max(HIGH, 10 + LETTER * longest)
    return { wide, full: Math.max(values[0].length * wide / WIDE, values.length * HIGH / TALL) }
  })
  const scale = Math.max(LEAST, Math.min(1, 1 / Math.max(...sizes.map(size => size.full))))
  const rows = {}, drawn = trace.grids.map((grid, k) => {
    const row = rows[grid.row ?? 0] ??= add(stage, 'div', { class: 'row' })
    return board(row, grid, trace.frames, sizes[k].wide, scale)
  })
  return at => drawn.forEach(paint => paint(at))
}

function board(row, grid, frames, wide, scale) {
  const high = grid.values.length, many = grid.values[0].length, name = grid.name
  const figure = add(row, 'figure')
  add(figure, 'figcaption', {}, grid.title)
  const view = add(figure, 'div'), size = [many * wide + 2 * EDGE, high * HIGH + 2 * EDGE]
  const svg = add(view, 'svg', {
    class: 'grid', role: 'img', 'aria-label': `${grid.title}, ${high} by ${many}`,
    viewBox: [-EDGE, -EDGE, ...size].join(' '),
  })
  svg.style.cssText = `width:${scale * size[0]}px;max-width:100%;min-width:${LEAST * size[0]}px`
  const cells = grid.values.map((values, i) => values.map((_, j) => {
    const cell = add(svg, 'g')
    add(cell, 'rect', { x: j * wide, y: i * HIGH, width: wide, height: HIGH })
    add(cell, 'text', { x: (j + .5) * wide, y: (i + .5) * HIGH })
    return cell
  }))
  const edges = ['lit', 'made'].map(kind => add(svg, 'path', { class: `edge ${kind}` }))

  return at => {
    const values = grid.values.map(values => [...values]), frame = frames[at]
    for (const { set } of frames.slice(0, at + 1)) {
      for (const [i, j, value] of set?.[name] ?? []) values[i][j] = value
    }
    const kinds = values.map(values => values.map(() => ''))
    const mark = (list, kind, of) => (list ?? []).forEach(([i, j]) => {
      if (of === undefined || kinds[i][j] === of) kinds[i][j] = kind
    })
    const filled = list => list?.filter(([i, j]) => values[i][j] ?? '')
    mark(filled(grid.soft), 'soft')
    mark(filled(frame.soft?.[name]), 'soft')
    mark(frame.lit?.[name], 'lit')
    mark(frame.set?.[name], 'made', 'lit')
    cells.forEach((line, i) => line.forEach((cell, j) => {
      cell.setAttribute('class', kinds[i][j])
      cell.lastChild.textContent = values[i][j] ?? ''
    }))
    edges.forEach(edge => edge.setAttribute('d', outline(kinds, edge.classList[1], wide)))
    const [, column] = frame.lit?.[name]?.[0] ?? []
    if (column !== undefined && view.scrollWidth > view.clientWidth) {
      view.scrollLeft = (column + .5) / many * view.scrollWidth - view.clientWidth / 2
    }
  }
}

// Around all cells of a kind: a line wherever a cell of it ends.
function outline(kinds, kind, wide) {
  const is = (i, j) => kinds[i]?.[j] === kind, path = []
  kinds.forEach((line, i) => line.forEach((_, j) => {
    if (is(i, j) !== is(i - 1, j)) path.push(`M${j * wide} ${i * HIGH}h${wide}`)
    if (is(i, j) !== is(i, j - 1)) path.push(`M${j * wide} ${i * HIGH}v${HIGH}`)
    if (is(i, j) && !is(i + 1, j)) path.push(`M${j * wide} ${(i + 1) * HIGH}h${wide}`)
    if (is(i, j) && !is(i, j + 1)) path.push(`M${(j + 1) * wide} ${i * HIGH}v${HIGH}`)
  }))
  return path.join('')
}
