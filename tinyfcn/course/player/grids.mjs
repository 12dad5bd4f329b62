// Draws grids of numbers: a part of the module that Player.page() joins.

const HIGH = 30                                     // pixels: height of a cell
const LETTER = 8.2                                  // width of a character in it
const EDGE = 2                                      // space around a grid, for outlines
const WIDE = 620, TALL = 600, MIN_SCALE = 0.75      // larger grids shrink, down to this scale

// -> a function that paints frame `index`
function drawGrids(stage, trace) {
  const sizes = trace.grids.map(({ name, values }) => {
    const written = trace.frames.flatMap(frame => (frame.set?.[name] ?? []).map(cell => cell[2]))
    const texts = [...values.flat(), ...written].map(text => `${text ?? ''}`)
    const longest = Math.max(...texts.map(text => text.length))
    const wide = Math.max(HIGH, 10 + LETTER * longest)
    const excess = Math.max(values[0].length * wide / WIDE, values.length * HIGH / TALL)
    return { wide, excess }
  })
  const excess = Math.max(...sizes.map(size => size.excess))
  const scale = Math.max(MIN_SCALE, Math.min(1, 1 / excess))
  const rows = {}
  const painters = trace.grids.map((grid, k) => {
    const row = rows[grid.row ?? 0] ??= append(stage, 'div', { class: 'row' })
    return drawGrid(row, grid, trace.frames, sizes[k].wide, scale)
  })
  return index => painters.forEach(paint => paint(index))
}

function drawGrid(row, grid, frames, wide, scale) {
  const name = grid.name, rowCount = grid.values.length, columnCount = grid.values[0].length
  const figure = append(row, 'figure')
  append(figure, 'figcaption', {}, grid.title)
  const view = append(figure, 'div')
  const size = [columnCount * wide + 2 * EDGE, rowCount * HIGH + 2 * EDGE]
  const svg = append(view, 'svg', {
    class: 'grid', role: 'img', 'aria-label': `${grid.title}, ${rowCount} by ${columnCount}`,
    viewBox: [-EDGE, -EDGE, ...size].join(' '),
  })
  const minWidth = MIN_SCALE * size[0]
  svg.style.cssText = `width:${scale * size[0]}px;max-width:100%;min-width:${minWidth}px`
  const cells = grid.values.map((values, i) => values.map((_, j) => {
    const cell = append(svg, 'g')
    append(cell, 'rect', { x: j * wide, y: i * HIGH, width: wide, height: HIGH })
    append(cell, 'text', { x: (j + .5) * wide, y: (i + .5) * HIGH })
    return cell
  }))
  const outlines = ['highlight', 'written'].map(
    kind => append(svg, 'path', { class: `outline ${kind}` }))

  return index => {
    const frame = frames[index]
    const values = grid.values.map(row => [...row])
    for (const { set } of frames.slice(0, index + 1)) {
      for (const [i, j, value] of set?.[name] ?? []) values[i][j] = value
    }

    const kinds = values.map(row => row.map(() => ''))          // CSS classes of the cells
    const mark = (list, kind, only) => (list ?? []).forEach(([i, j]) => {
      if (only === undefined || kinds[i][j] === only) kinds[i][j] = kind
    })
    const notEmpty = list => list?.filter(([i, j]) => values[i][j] ?? '')
    mark(notEmpty(grid.dim), 'dim')
    mark(notEmpty(frame.dim?.[name]), 'dim')
    mark(frame.highlight?.[name], 'highlight')
    mark(frame.set?.[name], 'written', 'highlight')

    cells.forEach((row, i) => row.forEach((cell, j) => {
      cell.setAttribute('class', kinds[i][j])
      cell.lastChild.textContent = values[i][j] ?? ''
    }))
    outlines.forEach(path => path.setAttribute('d', outline(kinds, path.classList[1], wide)))

    // a grid that is too wide scrolls to the first highlighted cell
    const [, column] = frame.highlight?.[name]?.[0] ?? []
    if (column !== undefined && view.scrollWidth > view.clientWidth) {
      const centre = (column + .5) / columnCount * view.scrollWidth
      view.scrollLeft = centre - view.clientWidth / 2
    }
  }
}

// The path around all cells of a kind: a line wherever such a cell borders on another kind.
function outline(kinds, kind, wide) {
  const is = (i, j) => kinds[i]?.[j] === kind
  const path = []
  kinds.forEach((row, i) => row.forEach((_, j) => {
    if (is(i, j) !== is(i - 1, j)) path.push(`M${j * wide} ${i * HIGH}h${wide}`)
    if (is(i, j) !== is(i, j - 1)) path.push(`M${j * wide} ${i * HIGH}v${HIGH}`)
    if (is(i, j) && !is(i + 1, j)) path.push(`M${j * wide} ${(i + 1) * HIGH}h${wide}`)
    if (is(i, j) && !is(i, j + 1)) path.push(`M${(j + 1) * wide} ${i * HIGH}v${HIGH}`)
  }))
  return path.join('')
}
