// Links a sum with its cells: each term has a colour, which its cells have too; pointing at one
// shows the others; a click on a cell goes to the step that writes it. A part of the module that
// page.py joins.

const same = (a, b) => a[0] === b[0] && a[1] === b[1] && a[2] === b[2]
const elementOf = (board, [grid, i, j]) => board.cells[grid][i][j]
const valueOf = (board, [grid, i, j]) => board.values[grid][i][j]
const beforeOf = (board, [grid, i, j]) => board.before[grid][i][j]

// The terms of the frame as [sum, cells, number of its colour]: those of the active sum; if all
// sums are of one term, say for each cell of a window, those of all; and those of all copies.
function colouredTerms(board) {
  const counts = {}                                     // of the sums of each grid, so far
  const areSingle = board.sums.filter(isSum).every(sum => sum.terms.length === 1)
  return board.sums.flatMap(sum => {
    const number = counts[sum.cell[0]] = (counts[sum.cell[0]] ?? -1) + 1
    if (areSingle || !isSum(sum)) return [[sum, sum.terms[0], number]]
    return sum === board.active ? sum.terms.map((cells, k) => [sum, cells, k]) : []
  })
}

const termColour = number => TERM_COLOURS[number % TERM_COLOURS.length]

// Shows the equation of a sum, and the colours of its terms on their cells.
function activate(board, sum) {
  board.active = sum
  board.stage.querySelectorAll('.strip[style]').forEach(strip => strip.removeAttribute('style'))
  const colours = new Map()                             // of an element; null if it has several
  for (const [{ cell, terms }, cells, number] of colouredTerms(board)) {
    for (const each of terms.length === 1 ? [...cells, cell] : cells) {         // its result, too
      const element = elementOf(board, each)
      colours.set(element, colours.has(element) && colours.get(element) !== number ? null : number)
    }
  }
  for (const [element, number] of colours) {
    if (number !== null) element.children[2].style.fill = termColour(number)
  }
  if (sum) describe(board, sum)
}

const partsOf = (board, sum) =>
  equation(sum, cell => valueOf(board, cell), beforeOf(board, sum.cell))
const textOf = parts => parts.map(([text]) => text).join('')

// The sum that the caption of the frame is about; without one, the first.
function mainSum(board) {
  const { caption } = board.trace.frames[board.player.current()]
  const sums = board.sums.filter(isSum)
  return sums.find(sum => caption.includes(textOf(partsOf(board, sum)))) ?? sums[0]
}

// Puts the equation into the caption, term by term.
function describe(board, sum) {
  const { caption } = board.player, text = board.trace.frames[board.player.current()].caption
  const parts = partsOf(board, sum)
  const whole = textOf(parts)
  const isQuoted = text.includes(whole)
  if (!isQuoted && sum === board.main) return
  const [start, end] = isQuoted ? text.split(whole) : ['', '']
  caption.replaceChildren()
  typeset(caption, start)
  const own = colouredTerms(board).filter(([other]) => other === sum)
  const colour = k => termColour(own[k][2])
  parts.forEach(([part, k], n) => {
    if (board.question === sum && n === parts.length - 1) return ask(board, sum, part)
    if (k === null) return typeset(caption, part, true)
    const term = append(caption, 'span', { class: 'term', 'data-term': k })
    typeset(term, part, true)
    term.style.cssText = `--term:${colour(k)};--delay:${calm.matches ? 0 : k}`
  })
  if (board.question !== sum) typeset(caption, end)
}

// Asks for the value of a sum before it is shown.
function ask(board, sum, part) {
  const { caption } = board.player, value = valueOf(board, sum.cell)
  const element = elementOf(board, sum.cell), number = element.lastChild
  element.classList.add('asked')                        // hides its colour, too
  element.shown = null
  number.textContent = '?'
  caption.append(part.slice(0, 3))
  const input = append(caption, 'input', { class: 'answer', 'aria-label': 'your value', size: 6 })
  input.onkeydown = event => {
    event.stopPropagation()
    if (event.key !== 'Enter') return
    const answer = parseFloat(input.value.replace('−', '-').replace(',', '.'))
    const isRight = Math.abs(answer - value) <= .006 * Math.max(1, Math.abs(value))
    board.question = null
    element.classList.remove('asked')
    number.textContent = formatNumber(value)
    describe(board, sum)
    append(caption, 'b', { class: isRight ? 'right' : 'wrong' },
           isRight ? '  ✓ right' : `  ✗ you said ${input.value || 'nothing'}`)
    board.player.focus()
  }
  input.focus({ preventScroll: true })
}

// Marks the cells of a term and its part of the equation, or with null nothing.
function light(board, number) {
  const { caption } = board.player
  document.querySelectorAll('.lit').forEach(element => element.classList.remove('lit'))
  if (number === null || !board.active) return
  board.active.terms[number].forEach(cell => elementOf(board, cell).classList.add('lit'))
  caption.querySelector(`[data-term="${number}"]`)?.classList.add('lit')
}

function point(board, cell) {
  if (board.question) return
  const has = sum => sum.terms.findIndex(cells => cells.some(other => same(other, cell)))
  const own = board.sums.find(sum => isSum(sum) && same(sum.cell, cell))
  const sum = own ?? (board.active && has(board.active) >= 0 ? board.active
    : board.sums.find(sum => isSum(sum) && has(sum) >= 0))
  if (!sum) return light(board, null)
  if (sum !== board.active) activate(board, sum)
  light(board, has(sum) >= 0 ? has(sum) : sum.terms.length === 1 ? 0 : null)
}

function listen(board) {
  const { stage, trace, player } = board
  const cellAt = event => {
    const element = event.target.closest?.('[data-cell]')
    return element && JSON.parse(element.dataset.cell)
  }
  stage.onpointerover = event => {
    const cell = cellAt(event)
    if (cell) point(board, cell)
  }
  stage.onpointerleave = () => {
    light(board, null)
    const { main } = board
    if (main && main !== board.active && !board.question) activate(board, main)
  }
  player.caption.onpointerover = event => {
    light(board, event.target.closest('.term')?.dataset.term ?? null)
  }
  player.caption.onpointerleave = () => light(board, null)
  const steps = findSteps(trace)
  stage.onclick = event => {
    const cell = cellAt(event)
    if (!cell || player.edits?.(cell)) return
    const list = steps.get(JSON.stringify(cell)) ?? []
    const next = list.find(index => index > player.current()) ?? list[0]
    if (next !== undefined) player.show(next)
  }
  for (const key of steps.keys()) {
    elementOf(board, JSON.parse(key)).style.cursor = 'pointer'
  }
}

// For each cell the frames that write it; if there are none, those that read it.
function findSteps(trace) {
  const written = new Map(), read = new Map()
  const add = (steps, name, [i, j], index) => {
    const key = JSON.stringify([name, i, j])
    if (steps.get(key)?.at(-1) !== index) steps.set(key, [...steps.get(key) ?? [], index])
  }
  trace.frames.forEach(({ set = {}, highlight = {} }, index) => {
    for (const name in highlight) {
      const cells = new Set((set[name] ?? []).map(([i, j]) => `${i},${j}`))
      for (const cell of highlight[name]) {
        add(cells.has(`${cell[0]},${cell[1]}`) ? written : read, name, cell, index)
      }
    }
  })
  return new Map([...read, ...written])
}

// Each product flies to its sum; of a maximum the largest alone.
function flightsOf(board) {
  const flights = []
  const coloured = colouredTerms(board)
  for (const sum of board.sums) {
    const target = elementOf(board, sum.cell), total = valueOf(board, sum.cell)
    sum.terms.forEach((cells, k) => {
      const values = cells.map(cell => valueOf(board, cell))
      const value = values.reduce((a, b) => a * b)
      if (sum.how === 'max' && value !== total) return
      const number = coloured.find(([other, term]) => other === sum && term === cells)?.[2] ?? k
      flights.push({ from: elementOf(board, cells.at(-1)), to: target, text: formatNumber(value),
                     colour: termColour(number) })
    })
    if (!calm.matches && sum !== board.question) {
      const [, tint, , number] = target.children
      number.animate({ opacity: [0, 0, 1] }, board.player.pace())
      tint.animate({ opacity: [0, 0, tint.style.opacity] }, board.player.pace())
    }
  }
  return flights
}
