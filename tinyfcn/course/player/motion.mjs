// What moves between two frames: a part of the module that page.py joins.

const MAX_GHOSTS = 40                               // more numbers than one can follow
const calm = matchMedia('(prefers-reduced-motion: reduce)')

// Slides an outline from the cells of the frame before, if it has the same shape there.
function slide(path, before, after, { wide, high }, duration) {
  if (calm.matches || !before?.length || !path.animate) return
  const shape = cells => cells.map(([i, j]) => `${i - cells[0][0]},${j - cells[0][1]}`).join(' ')
  if (shape(before) !== shape(after)) {
    path.animate({ opacity: [0, 1] }, duration)
    return
  }
  const x = (before[0][1] - after[0][1]) * wide, y = (before[0][0] - after[0][0]) * high
  if (!x && !y) return
  path.animate({ transform: [`translate(${x}px, ${y}px)`, 'none'] },
               { duration, easing: 'ease-in-out' })
}

// Each number flies from the cell that it is read from to the cell whose sum it is a term of.
// flights: [{ from, to, text, colour }], from and to elements; nothing is left behind
function fly(stage, flights, duration) {
  stage.querySelectorAll('.ghost').forEach(ghost => ghost.remove())
  if (calm.matches || flights.length > MAX_GHOSTS) return
  const corner = stage.getBoundingClientRect()
  flights.forEach(({ from, to, text, colour }, k) => {
    const start = from.getBoundingClientRect(), end = to.getBoundingClientRect()
    const ghost = append(stage, 'span', { class: 'ghost', 'aria-hidden': true }, text)
    ghost.style.cssText = `left:${start.left - corner.left}px;top:${start.top - corner.top}px;`
      + `width:${start.width}px;line-height:${start.height}px;--term:${colour}`
    const x = end.left + end.width / 2 - start.left - start.width / 2
    const y = end.top + end.height / 2 - start.top - start.height / 2
    const delay = flights.length > 1 ? .4 * duration * k / (flights.length - 1) : 0
    const motion = ghost.animate([
      { transform: 'none', opacity: 1 },
      { transform: `translate(${x}px, ${y}px)`, opacity: 1, offset: .85 },
      { transform: `translate(${x}px, ${y}px)`, opacity: 0 },
    ], { duration: .6 * duration, delay, easing: 'ease-in-out', fill: 'both' })
    motion.onfinish = motion.oncancel = () => ghost.remove()
  })
}
