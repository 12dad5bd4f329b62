// Shows maps side by side, over the same pixels: a part of the module that page.py joins.

// -> a function that paints frame `index`; dragging calls show(index) of the player
function draw(stage, trace, { show, current }) {
  stage.className = 'maps'
  const panels = trace.maps.map(map => drawMap(stage, trace, map))
  const dragged = trace.maps.find(map => map.name === trace.drag)
  const [high, wide] = dragged.size
  panels.forEach(panel => follow(panel.svg, trace, pixel => {
    const [i, j] = pixel.map((p, axis) => Math.max(0, Math.min(
      dragged.size[axis] - 1, Math.round((p - dragged.shift[axis]) / dragged.scale[axis]))))
    if (i * wide + j !== current()) show(i * wide + j)
  }))
  stage.parentElement.addEventListener('keydown', event => {
    const step = { ArrowUp: -wide, ArrowDown: wide }[event.key]
    const next = current() + step
    if (!step || event.target.type === 'range') return
    event.preventDefault()
    if (next >= 0 && next < high * wide) show(next)
  })
  let width = 0
  return index => {
    if (stage.clientWidth !== width) {
      width = stage.clientWidth
      const scale = fitMaps(stage, panels.length, trace)
      panels.forEach((panel, k) => drawTiles(panel, k, scale))
    }
    const frame = trace.frames[index], unit = frame.units[trace.drag]
    panels.forEach(panel => paintMap(panel, trace, frame, centreOf(dragged, unit)))
  }
}

function paintMap({ layer, map }, trace, { units, fields = {} }, pixel) {
  layer.replaceChildren()
  const field = fields[map.name], unit = units[map.name]
  if (field) drawSpan(layer, field, map.scale, 'span')
  drawCross(layer, trace, pixel)
  if (!unit) return
  const centre = centreOf(map, unit).map(n => [n, n])
  drawSpan(layer, centre, map.scale, map.name === trace.drag ? 'unit handle' : 'unit')
}
