// Draws grids of numbers: a part of the module that page.py joins.

const HIGH = 30, DENSE = 21, WITH_BARS = 40         // pixels: height of a cell
const MANY_ROWS = 15                                // from here on all cells of the trace are dense
const LETTER = 8.2                                  // width of a character in it
const EDGE = 2                                      // space around a grid, for outlines
const WIDE = 620, TALL = 600, MIN_SCALE = 0.75      // larger grids shrink, down to this scale
const PHONE = 460, PHONE_SCALE = .8                 // on a page that is narrower all grids shrink
const STRIP = 4                                     // height of the strip in the colour of a term

// The colour of each term, and of the cells that it is made of: those of the taps in lesson 04.
const TERM_COLOURS = ['#aec7e8', '#1f77b4', '#ffbb78', '#ff7f0e', '#98df8a', '#2ca02c', '#ff9896',
  '#d62728', '#c5b0d5', '#9467bd', '#c49c94', '#8c564b', '#f7b6d2', '#e377c2', '#9edae5', '#17becf',
  '#dbdb8d', '#bcbd22']
const VOID = 255

// -> a function that paints frame `index`, with motion if it follows frame `from`
function draw(stage, trace, player) {
  stage.classList.add('stage')
  const isDense = trace.grids.some(grid => grid.values.length > MANY_ROWS)
  const sizes = trace.grids.map(grid => measure(grid, trace.frames, isDense))
  alignSizes(trace.grids, sizes)
  const excess = Math.max(...sizes.map(({ wide, high }, k) => {
    const { values } = trace.grids[k]
    return Math.max(values[0].length * wide / WIDE, values.length * high / TALL)
  }))
  const most = stage.clientWidth < PHONE ? PHONE_SCALE : 1
  const scale = Math.max(MIN_SCALE, Math.min(most, 1 / excess))
  // what is shown: {grid: rows} of values, of the values a frame ago, and of elements
  const board = { stage, trace, player, values: {}, before: {}, cells: {}, sums: [], active: null }
  const rows = {}, hasFormulas = trace.frames.some(({ formula }) => formula)
  const formula = hasFormulas && append(stage, 'p', { class: 'formula' })
  let channels
  const painters = trace.grids.map((grid, k) => {
    if (!grid.below) {
      const row = rows[grid.row ?? 0] ??= append(stage, 'div', { class: 'row' })
      const place = append(row, 'div', { class: 'place' })
      if (grid.sign) append(place, 'span', { class: 'sign' }, grid.sign)
      channels = append(place, 'div', { class: 'channels' })
    }
    return drawGrid(channels, grid, board, sizes[k], scale)
  })
  listen(board)
  if (trace.frames.some(frame => frame.sums?.some(isSum))) {
    player.predict = asks => { board.asks = asks }
  }
  if (trace.edit) addEditing(board)
  return (index, from) => {
    board.values = valuesAfter(trace, index)
    board.before = valuesAfter(trace, index - 1)
    board.sums = trace.frames[index].sums ?? []
    light(board, null)
    if (formula) {
      formula.replaceChildren()
      typeset(formula, trace.frames[index].formula ?? '', true)
    }
    painters.forEach(paint => paint(index, from))
    board.main = mainSum(board)
    board.question = board.asks && index === from + 1 ? board.main : null
    activate(board, board.main)
    shrink(stage)
    if (index !== from) keepInSight(stage)
    fly(stage, index === from + 1 ? flightsOf(board) : [], player.pace())
  }
}

// Draws all grids smaller, until the player is no higher than what is seen at once.
function shrink(stage) {
  const svgs = [...stage.querySelectorAll('.grid')]
  const excess = () => stage.parentElement.offsetHeight - visibleHeight()
  let scale = +svgs[0].style.getPropertyValue('--scale')
  while (excess() > 0 && scale > MIN_SCALE) {           // titles do not shrink: more than once
    scale = Math.max(MIN_SCALE, scale * (1 - excess() / stage.offsetHeight))
    svgs.forEach(svg => svg.style.setProperty('--scale', scale))
  }
}

// On a screen that is lower than the page, scrolls to what the step writes, above the controls.
function keepInSight(stage) {
  const cell = stage.querySelector('g.written'), dock = document.querySelector('.dock')
  if (!cell || document.documentElement.scrollHeight <= innerHeight) return
  const { top, bottom } = cell.getBoundingClientRect()
  const hidden = bottom - dock.getBoundingClientRect().top
  if (hidden > 0) scrollBy(0, hidden + EDGE)
  else if (top < 0) scrollBy(0, top - EDGE)
}

const isSum = sum => sum.how !== 'copy'

// The size of a cell, and between what its values ever are.
function measure({ name, values, colours }, frames, isDense) {
  const written = frames.flatMap(frame => (frame.set?.[name] ?? []).map(cell => cell[2]))
  const all = [...values.flat(), ...written]
  const longest = Math.max(...all.map(value => formatNumber(value).length))
  const wide = Math.max(HIGH, 10 + LETTER * longest)
  const high = isDense ? DENSE : colours === 'bars' ? WITH_BARS : HIGH
  const numbers = all.filter(Number.isFinite)
  return { wide, high, least: Math.min(0, ...numbers), most: Math.max(0, ...numbers) }
}

// Grids of as many columns have cells of the same width, and all bars have one scale.
function alignSizes(grids, sizes) {
  const columns = grids.map(grid => grid.values[0].length)
  const widths = columns.map(count => Math.max(
    ...sizes.filter((_, k) => columns[k] === count).map(size => size.wide)))
  const withBars = sizes.filter((_, k) => grids[k].colours === 'bars')
  const most = Math.max(...withBars.map(size => Math.max(size.most, -size.least)))
  sizes.forEach((size, k) => { size.wide = widths[k] })
  withBars.forEach(size => { size.most = most })
}

function valuesAfter(trace, index) {
  const values = {}
  for (const grid of trace.grids) values[grid.name] = grid.values.map(row => [...row])
  for (const { set } of trace.frames.slice(0, index + 1)) {
    for (const name in set) for (const [i, j, value] of set[name]) values[name][i][j] = value
  }
  return values
}

function drawGrid(place, grid, board, size, scale) {
  const { name } = grid, { wide, high } = size, { frames } = board.trace
  const rowCount = grid.values.length, columnCount = grid.values[0].length
  const figure = append(place, 'figure', grid.colours ? { class: 'coloured' } : {})
  append(figure, 'figcaption', {}, grid.title)
  const view = append(figure, 'div')
  const area = [columnCount * wide + 2 * EDGE, rowCount * high + 2 * EDGE]
  const svg = append(view, 'svg', {
    class: 'grid', role: 'img', 'aria-label': `${grid.title}, ${rowCount} by ${columnCount}`,
    viewBox: [-EDGE, -EDGE, ...area].join(' '),
  })
  const minWidth = MIN_SCALE * area[0]
  svg.style.cssText = `width:calc(var(--scale) * ${area[0]}px);--scale:${scale};`
    + `max-width:100%;min-width:${minWidth}px`
  const cells = board.cells[name] = grid.values.map((values, i) => values.map((_, j) => {
    const cell = append(svg, 'g', { 'data-cell': JSON.stringify([name, i, j]) })
    const box = { x: j * wide, y: i * high, width: wide, height: high }
    append(cell, 'rect', box)
    append(cell, 'rect', { ...box, class: 'tint' })
    append(cell, 'rect', { ...box, class: 'strip', y: (i + 1) * high - STRIP, height: STRIP })
    append(cell, 'text', { x: (j + .5) * wide, y: (i + .5) * high })
    return cell
  }))
  const outlines = ['highlight', 'written'].map(
    kind => append(svg, 'path', { class: `outline ${kind}` }))

  return (index, from) => {
    const frame = frames[index], values = board.values[name]
    const kinds = kindsOf(grid, frame, values)
    cells.forEach((row, i) => row.forEach((cell, j) => {
      const text = formatNumber(values[i][j]), shown = `${kinds[i][j]} ${text}`
      if (cell.shown === shown) return              // most cells of a step are as before
      cell.shown = shown
      cell.setAttribute('class', kinds[i][j])
      cell.lastChild.textContent = text
      colourCell(cell, grid, size, i, j, values[i][j])
    }))
    const before = Math.abs(index - from) === 1 && kindsOf(grid, frames[from], values)
    outlines.forEach(path => {
      const kind = path.classList[1]
      path.setAttribute('d', outline(kinds, kind, size))
      if (before) {
        slide(path, cellsOf(before, kind), cellsOf(kinds, kind), size, board.player.pace())
      }
    })

    // a grid that is too wide scrolls to the first highlighted cell
    const [, column] = frame.highlight?.[name]?.[0] ?? []
    if (column !== undefined && view.scrollWidth > view.clientWidth) {
      const centre = (column + .5) / columnCount * view.scrollWidth
      view.scrollLeft = centre - view.clientWidth / 2
    }
  }
}

// The CSS class of each cell: what a frame does with it.
function kindsOf(grid, frame, values) {
  const kinds = values.map(row => row.map(() => ''))
  const mark = (list, kind, only) => (list ?? []).forEach(([i, j]) => {
    if (only === undefined || kinds[i][j] === only) kinds[i][j] = kind
  })
  const notEmpty = list => list?.filter(([i, j]) => formatNumber(values[i][j]))
  mark(notEmpty(grid.dim), 'dim')
  mark(notEmpty(frame.dim?.[grid.name]), 'dim')
  mark(frame.highlight?.[grid.name], 'highlight')
  mark(frame.set?.[grid.name], 'written', 'highlight')
  return kinds
}

const cellsOf = (kinds, kind) => kinds.flatMap((row, i) => row.flatMap(
  (other, j) => other === kind ? [[i, j]] : []))

// How a value is drawn behind its number, which stays readable: tints are mixed with the colour of
// the cell, and on the colours of classes and pixels it is black or white.
function colourCell(cell, { colours }, { high, least, most }, i, j, value) {
  const tint = cell.children[1]
  const fill = (colour, opacity, part = 1) => {
    tint.style.cssText = `fill:${colour};opacity:${opacity}`
    tint.setAttribute('height', part * high)
    tint.setAttribute('y', (i + 1 - part) * high)
  }
  if (!colours || !Number.isFinite(value)) return fill('none', 0)
  const sign = value < 0 ? 'var(--negative)' : 'var(--positive)'
  const size = Math.abs(value) / Math.max(-least, most, 1e-9)
  if (colours === 'signed') return fill(sign, .6 * size)
  if (colours === 'shade') return fill('var(--shade)', .6 * (value - least) / (most - least || 1))
  if (colours === 'bars') return fill(sign, .5, size)
  if (colours === 'classes' && value === VOID) return fill('none', 0)
  const rgb = colours === 'classes' ? classColour(value)
    : colours[i][j].match(/\w\w/g).map(part => parseInt(part, 16))
  fill(`rgb(${rgb})`, 1)
  cell.lastChild.style.setProperty('--number', luminance(rgb) > .18 ? '#000' : '#fff')
}

// The path around all cells of a kind: a line wherever such a cell borders on another kind.
function outline(kinds, kind, { wide, high }) {
  const is = (i, j) => kinds[i]?.[j] === kind
  const path = []
  kinds.forEach((row, i) => row.forEach((_, j) => {
    if (is(i, j) !== is(i - 1, j)) path.push(`M${j * wide} ${i * high}h${wide}`)
    if (is(i, j) !== is(i, j - 1)) path.push(`M${j * wide} ${i * high}v${high}`)
    if (is(i, j) && !is(i + 1, j)) path.push(`M${j * wide} ${(i + 1) * high}h${wide}`)
    if (is(i, j) && !is(i, j + 1)) path.push(`M${(j + 1) * wide} ${i * high}v${high}`)
  }))
  return path.join('')
}

