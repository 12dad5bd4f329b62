// Lets a reader change numbers, size, stride and pad: a part of the module that page.py joins.

const LIMITS = { size: [1, 10], stride: [1, 4], pad: [0, 3], dilation: [1, 3], ksize: [1, 4] }
const TRANSPOSED = ['scatter', 'zero_insert', 'transposed_matrix']

function addEditing(board) {
  const { trace, player } = board, { edit } = trace
  const change = (changed, isOpen) => {
    try {
      const next = retrace(changed)
      player.restart({ ...next, isOpen }, Math.min(player.current(), next.frames.length - 1))
    } catch (error) {
      player.caption.textContent = error.message
    }
  }
  const size = sizeOf(edit.arrays.x[0]), [smallest, largest] = LIMITS.size
  addStepper(player.tools, 'size', size.join('×'), Math.min(...size) <= smallest,
             Math.max(...size) >= largest, step => {
    const x = edit.arrays.x.map(plane => resize(plane, size.map(n => n + step)))
    change({ ...edit, arrays: { ...edit.arrays, x } }, trace.isOpen)
  })
  for (const name in edit.numbers) {
    const value = edit.numbers[name], [low, high] = LIMITS[name]
    addStepper(player.tools, name, value, value <= low, value >= high, step => change(
      { ...edit, numbers: { ...edit.numbers, [name]: value + step } }, trace.isOpen))
  }

  let isOpen = false
  const open = isOn => {
    isOpen = isOn
    for (const name in board.cells) {
      board.cells[name].forEach((row, i) => row.forEach((cell, j) => {
        cell.lastChild.style.textDecoration =
          isOn && placeOf(edit, name, i, j) ? 'underline dotted' : ''
      }))
    }
  }
  const toggle = addToggle(player.tools, 'edit', open)
  if (trace.isOpen) toggle.click()
  player.edits = ([name, i, j]) => {
    const place = isOpen && placeOf(edit, name, i, j)
    if (!place) return false
    enter(board, [name, i, j], value => {
      const arrays = structuredClone(edit.arrays), { array, channel, row, column } = place
      arrays[array][channel][row][column] = value
      change({ ...edit, arrays }, true)
    })
    return true
  }
}

// The numbers of a plane with rows and columns less, or more: then the first ones follow the last.
function resize(plane, [high, wide]) {
  const [rows, columns] = sizeOf(plane)
  return range(high).map(i => range(wide).map(j => plane[i % rows][j % columns]))
}

// Which number of which array a cell shows; undefined for padding and for what is computed.
function placeOf({ function: op, arrays, numbers }, name, i, j) {
  const [, array, channel = 0] = name.match(/^(\w+)(?:\[(\d+)\])?$/) ?? []
  if (!arrays[array]) return undefined
  let place = { array, channel: +channel, row: i, column: j }
  if (array === 'x' && !TRANSPOSED.includes(op)) {      // where pad crops the output
    place = { ...place, row: i - (numbers.pad ?? 0), column: j - (numbers.pad ?? 0) }
  }
  if (array === 'w' && op === 'im2col') {               // there w is a column
    const [high, wide] = sizeOf(arrays.w[0])
    place = { array, channel: Math.floor(i / (high * wide)),
              row: Math.floor(i / wide) % high, column: i % wide }
  }
  if (array === 'w' && op === 'zero_insert') {          // there w is flipped
    const [high, wide] = sizeOf(arrays.w[0])
    place = { ...place, row: high - 1 - i, column: wide - 1 - j }
  }
  return arrays[array][place.channel]?.[place.row]?.[place.column] === undefined ? undefined : place
}

// An input over a cell; Enter and leaving it take its number over, Escape does not.
function enter(board, cell, take) {
  const { stage } = board
  stage.querySelector('.entry')?.remove()
  const box = elementOf(board, cell).getBoundingClientRect(), corner = stage.getBoundingClientRect()
  const input = append(stage, 'input', { class: 'entry', type: 'number', step: 'any',
                                         'aria-label': `${cell[0]}[${cell[1]},${cell[2]}]` })
  const wide = Math.max(64, box.width)
  input.style.cssText = `width:${wide}px;height:${box.height}px;top:${box.top - corner.top}px;`
    + `left:${box.left - corner.left + (box.width - wide) / 2}px`
  input.value = valueOf(board, cell)
  let isDone = false
  const finish = isTaken => {
    if (isDone) return
    isDone = true
    const value = parseFloat(input.value)
    input.remove()
    if (isTaken && Number.isFinite(value) && value !== valueOf(board, cell)) take(value)
  }
  input.onkeydown = event => {
    event.stopPropagation()
    if (event.key === 'Enter') finish(true)
    if (event.key === 'Escape') finish(false)
  }
  input.onblur = () => finish(true)
  input.focus({ preventScroll: true })
  input.select()
}
