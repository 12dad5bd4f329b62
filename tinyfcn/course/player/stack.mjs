// Shows a stack of layers: a table, the map of one of them over the image, and its three sums. A
// reader changes windows, pads and crops; restack computes all layers anew, and a test holds it to
// the library. A part of the module that page.py joins.

const BOUNDS = { kernel: [1, 64], stride: [1, 32], pad: [0, 120], size: [1, 999], crop: [-99, 999] }
const COLUMNS = ['layer', 'kernel', 'stride', 'pad', 'size', 'scale', 'shift', 'field', 'crop']
const HANDLE = 7                                    // screen pixels: radius
const LEAST = 190, MOST = 380, OTHERS = 280         // screen pixels: height of the map; the rest

// -> a function that paints frame `index`
function draw(stage, trace, player) {
  stage.className = 'stack'
  const table = append(stage, 'table'), rows = drawTable(table, trace, player)
  const extent = extentOf(trace)
  const image = { size: [trace.size, trace.size] }
  const place = append(stage, 'div', { class: 'maps' })
  const steppers = append(player.tools, 'span', { class: 'tools' })
  player.tools.prepend(steppers)
  let pixel = trace.pixel ?? [trace.size / 2, trace.size / 2]
  const change = (layers, size = trace.size) => {
    const changed = { ...trace, size, layers, pixel: size === trace.size ? pixel : undefined }
    try {
      player.restart({ ...changed, frames: restack(changed) }, player.current())
    } catch (error) {
      player.caption.replaceChildren(error.message)
    }
  }
  return index => {
    rows.forEach((row, k) => row.classList.toggle('current', k === index))
    addNumbers(steppers, trace, index, change)
    place.replaceChildren()
    const map = mapOf(trace, index), shown = { extent, maps: [image, map], image: trace.image }
    const panel = drawMap(place, shown, map)
    const scale = fitMaps(place, 1, shown, heightLeft(place, table))
    drawTiles(panel, 0, scale)
    const paint = () => paintUnit(panel, shown, trace.frames[index], pixel)
    follow(panel.svg, shown, to => { pixel = to; paint() })
    paint()
    addHandle(panel, trace, index, scale, change)
  }
}

// Of the map, which stands beside the table, or below it.
function heightLeft(place, table) {
  const isBelow = place.offsetTop > table.offsetTop
  return Math.max(LEAST, Math.min(MOST, visibleHeight() - OTHERS - isBelow * table.offsetHeight))
}

function drawTable(table, { layers, frames }, player) {
  const used = COLUMNS.filter(name => name !== 'crop' || frames.some(frame => 'offset' in frame))
  const head = append(table, 'tr')
  used.forEach(name => append(head, 'th', { class: name }, name))
  return layers.map((layer, k) => {
    const frame = frames[k]
    const cells = { layer: layer.name, kernel: layer.ksize, ...layer, ...frame, crop: frame.offset }
    const row = append(table, 'tr', frame.problem ? { class: 'problem' } : {})
    used.forEach(name => append(row, 'td', { class: name }, exactText(cells[name] ?? '')))
    row.onclick = () => player.show(k)
    return row
  })
}

// What can be changed of a layer, and the size of the image.
function addNumbers(parent, trace, index, change) {
  parent.replaceChildren()
  const layer = trace.layers[index]
  const replace = changed => change(withChange(trace.layers, index, changed))
  const names = { crop: ['crop'], fuse: ['crop'], image: ['size'] }[layer.op]
    ?? ['kernel', 'stride', 'pad']
  for (const name of names) {
    const value = { crop: trace.frames[index].offset, size: trace.size, kernel: layer.ksize,
                    ...layer }[name]
    const [low, high] = BOUNDS[name]
    addStepper(parent, name, exactText(value), value <= low, value >= high, step => {
      if (name === 'size') return change(trace.layers, value + step)
      if (name === 'crop') return replace({ offset: value + step })
      const changed = { [name === 'kernel' ? 'ksize' : name]: value + step }
      if (name === 'stride' && layer.op === 'up') changed.ksize = 2 * changed.stride
      replace(changed)
    })
  }
}

// The layers after a change of one; all other crops follow from it again.
const withChange = (layers, index, changed) => layers.map((each, k) => k === index
  ? { ...each, ...changed } : { ...each, offset: undefined })

function paintUnit({ layer, map }, trace, { field }, pixel) {
  layer.replaceChildren()
  const unit = pixel.map((p, axis) => Math.max(0, Math.min(
    map.size[axis] - 1, Math.round((p - map.shift[axis]) / map.scale[axis]))))
  const centre = centreOf(map, unit).map(n => [n, n])
  drawSpan(layer, centre, [field, field], 'span')
  drawSpan(layer, centre, map.scale, 'unit')
}

// A pad or a crop as a frame around what is kept, with a handle that changes it.
function addHandle({ svg, map }, trace, index, scale, change) {
  const layer = trace.layers[index], before = trace.frames[index - 1]
  if (!before || layer.op === 'up') return
  const key = layer.like ? 'offset' : 'pad'
  const value = layer.like ? trace.frames[index].offset : layer.pad
  const unit = layer.op === 'fuse' ? frameOf(trace, layer.like) : before
  const start = layer.like ? unit.shift + unit.scale * (value - .5)
    : before.shift - before.scale * (value + .5)
  const end = layer.like ? start + unit.scale * map.size[1]
    : start + before.scale * (before.size + 2 * value)
  append(svg, 'rect', { class: 'border', x: start, y: start, width: end - start,
                        height: end - start })
  const handle = append(svg, 'circle', { class: 'edge', cx: start, cy: (start + end) / 2,
                                         r: HANDLE / scale })
  append(handle, 'title', {}, layer.like ? 'drag the crop' : 'drag the pad')
  handle.onpointerdown = event => {
    event.stopPropagation()
    const sign = layer.like ? 1 : -1
    let shown = value
    // the page is drawn anew while the pointer moves
    onpointermove = ({ clientX }) => {
      const moved = Math.round(sign * (clientX - event.clientX) / scale / unit.scale)
      const next = Math.max(0, value + moved)
      if (next === shown) return
      shown = next
      change(withChange(trace.layers, index, { [key]: next }))
    }
    onpointerup = () => { onpointermove = onpointerup = null }
  }
}

const mapOf = ({ layers, frames }, index) => {
  const { size, scale, shift } = frames[index]
  return { name: layers[index].name, title: `${layers[index].name}: ${size}×${size}`,
           size: [size, size], scale: [scale, scale], shift: [shift, shift] }
}

// What all layers and their paddings reach over.
function extentOf({ layers, frames }) {
  const ends = frames.flatMap(({ size, scale, shift }, k) => {
    const pad = layers[k + 1]?.pad ?? 0
    return [shift - scale * pad, shift + scale * (size - 1 + pad)]
  })
  const extent = [Math.min(...ends), Math.max(...ends)]
  return [extent, extent]
}
