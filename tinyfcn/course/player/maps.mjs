// Draws a map of units over the image, to its scale: a part of the module that page.py joins.
//
// A map: dict(name, title, size, scale, shift), each a pair (along the height, along the width).
// Unit [i, j] is centred on pixel scale·[i, j] + shift.

const TILE = .84                                    // of the distance between two units
const DENSEST = 2.5                                 // screen pixels between two units
const AROUND = .5                                   // half a pixel: positions are those of centres
const GAP = 14, TITLE = 40                          // screen pixels between maps, and above one
const OTHER_HEIGHT = 290                            // screen pixels: of all but the maps
const SMALLEST = 80                                 // screen pixels: width of a map
const FULL = .7                                     // how much a line that is not full is worth

// The map with its tiles, in an image that shows the pixels of `extent`.
// -> { svg, tiles, layer, map }: what changes is drawn into the layer
function drawMap(parent, trace, map) {
  const figure = append(parent, 'figure', { class: 'map' })
  append(figure, 'figcaption', {}, map.title)
  const svg = append(figure, 'svg', { role: 'img', 'aria-label': map.title })
  const [[top, bottom], [left, right]] = trace.extent
  svg.setAttribute('viewBox', [left - AROUND, top - AROUND, right - left + 2 * AROUND,
                               bottom - top + 2 * AROUND].join(' '))
  const [high, wide] = trace.maps[0].size
  const box = { x: -AROUND, y: -AROUND, width: wide, height: high }
  append(svg, 'rect', { ...box, class: 'image' })
  if (trace.image) {
    append(svg, 'image', { ...box, href: trace.image, preserveAspectRatio: 'none' })
  }
  const tiles = append(svg, 'g'), layer = append(svg, 'g')
  return { svg, tiles, layer, map }
}

// The tiles of a map, as a pattern; where they are too dense to see, their area.
function drawTiles({ svg, tiles, map }, number, screenScale) {
  tiles.replaceChildren()
  const [sy, sx] = map.scale, [ty, tx] = map.shift, [high, wide] = map.size
  const area = { x: tx - sx / 2, y: ty - sy / 2, width: wide * sx, height: high * sy }
  const isDense = Math.min(sx, sy) * screenScale < DENSEST
  if (!isDense) {
    const id = `tiles-${number}`, inset = (1 - TILE) / 2
    const pattern = append(tiles, 'pattern', { id, patternUnits: 'userSpaceOnUse', x: area.x,
                                               y: area.y, width: sx, height: sy })
    append(pattern, 'rect', { class: 'tile', x: inset * sx, y: inset * sy, width: TILE * sx,
                              height: TILE * sy })
    append(tiles, 'rect', { ...area, fill: `url(#${id})` })
  }
  append(tiles, 'rect', { ...area, class: isDense ? 'area dense' : 'area' })
}

// A rectangle around the pixels of a span [from, to] of each axis.
function drawSpan(layer, [[top, bottom], [left, right]], [high, wide], kind) {
  append(layer, 'rect', { class: kind, x: left - wide / 2, y: top - high / 2,
                          width: right - left + wide, height: bottom - top + high })
}

// Lines across the map at a pixel.
function drawCross(layer, trace, [y, x]) {
  const [[top, bottom], [left, right]] = trace.extent
  append(layer, 'line', { class: 'cross', x1: left - AROUND, x2: right + AROUND, y1: y, y2: y })
  append(layer, 'line', { class: 'cross', x1: x, x2: x, y1: top - AROUND, y2: bottom + AROUND })
}

const centreOf = ({ scale, shift }, unit) => unit.map((n, axis) => scale[axis] * n + shift[axis])

// Sizes `count` maps so that they are as large as fits, in lines that are full if that costs little.
// -> screen pixels for a pixel of the image
function fitMaps(stage, count, trace, most = visibleHeight() - OTHER_HEIGHT) {
  const [[top, bottom], [left, right]] = trace.extent
  const wide = right - left + 1, high = bottom - top + 1
  const layouts = [...Array(count).keys()].map(k => {
    const columns = k + 1, lines = Math.ceil(count / columns)
    const space = (stage.clientWidth - k * GAP) / columns - 1
    const width = Math.min(space, ((most - lines * TITLE) / lines) * wide / high)
    return { width, columns, worth: width * (lines * columns === count ? 1 : FULL) }
  })
  const best = layouts.reduce((a, b) => b.worth > a.worth ? b : a)
  const width = Math.max(SMALLEST, best.width)
  stage.style.gridTemplateColumns = `repeat(${best.columns}, ${width}px)`
  return width / wide
}

// Calls move(pixel) with the pixel [y, x] under the pointer, while it is down.
function follow(svg, trace, move) {
  const [[top, bottom], [left, right]] = trace.extent
  let isDown = false
  const report = event => {
    if (!isDown) return
    const box = svg.getBoundingClientRect()
    move([(event.clientY - box.top) / box.height * (bottom - top + 1) + top - AROUND,
          (event.clientX - box.left) / box.width * (right - left + 1) + left - AROUND])
  }
  svg.onpointerdown = event => {
    isDown = true
    svg.setPointerCapture(event.pointerId)
    report(event)
  }
  svg.onpointermove = report
  svg.onpointerup = svg.onpointercancel = () => { isDown = false }
}
