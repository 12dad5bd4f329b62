// The figure of the net: every box at its place, with what it computes for the picture.
import { append, appendSvg, heatColour, paint } from './dom.mjs'

const SIDE = 88, ROW = 1.75, LEFT = .2, TOP = .5
const SLICE = 20            // milliseconds of painting, after which the page may do other work

// choose(name) when a box is clicked
export function makeMap(parent, { places, arrows }, colours, choose) {
  const right = Math.max(...Object.values(places).map(([x, , width]) => x + width)) + LEFT
  const rows = 1 + Math.max(...Object.values(places).map(([, row]) => row))
  const wide = (right + LEFT) * SIDE, high = (TOP + rows * ROW) * SIDE - 30
  const scroll = append(parent, 'div', { class: 'map', tabindex: 0,
                                         'aria-label': 'the net; scroll to see all of it' })
  const hint = append(parent, 'p', { class: 'hint' }, 'The net goes on to the right: scroll.')
  const showHint = () => {
    const isAtEnd = scroll.scrollLeft + scroll.clientWidth > scroll.scrollWidth - 8
    for (const element of [scroll, hint]) element.classList.toggle('more', !isAtEnd)
  }
  scroll.onscroll = showHint
  new ResizeObserver(showHint).observe(scroll)
  const svg = appendSvg(scroll, 'svg', { width: wide, height: high, viewBox: `0 0 ${wide} ${high}`,
                                         role: 'group' })
  const placeOf = name => {
    const [x, row, width] = places[name]
    return { x: (x + LEFT) * SIDE, y: (TOP + row * ROW) * SIDE, wide: width * SIDE, row }
  }
  for (const [source, target, text] of arrows) {
    drawArrow(svg, placeOf(source), placeOf(target), text)
  }
  const boxes = {}
  for (const name in places) boxes[name] = drawBox(svg, name, placeOf(name), choose)

  const canvas = document.createElement('canvas')
  return {
    // images: { name: { size, pixels } or { size, labels } }
    async show(images) {
      let began = performance.now()
      for (const name in boxes) {
        if (performance.now() - began > SLICE) {
          await new Promise(resolve => { setTimeout(resolve) })
          began = performance.now()
        }
        const image = images[name]
        if (!image || !boxes[name].image) continue
        paint(canvas, image.size, image.labels ? pixel => colours[image.labels[pixel]]
          : pixel => heatColour(image.pixels[pixel]))
        boxes[name].image.setAttribute('href', canvas.toDataURL())
        boxes[name].size = image.size
        boxes[name].text.textContent = `${image.size[0]}×${image.size[1]}`
      }
    },
    showImage(url) {
      boxes.data?.image.setAttribute('href', url)
    },
    // reach: { name: [[top, bottom], [left, right]] }: outlined in every box
    outline(reach, sizes) {
      for (const name in boxes) {
        const { frame } = boxes[name], size = sizes[name]
        const window = reach[name]
        frame.setAttribute('visibility', window && size ? 'visible' : 'hidden')
        if (!window || !size) continue
        const { x, y, wide: width } = placeOf(name)
        const [[top, bottom], [left, rightmost]] = window
        const w = width / size[1], h = SIDE / size[0]
        for (const [key, value] of Object.entries({
          x: x + left * w, y: y + top * h, width: Math.max((rightmost - left + 1) * w, 2),
          height: Math.max((bottom - top + 1) * h, 2) })) frame.setAttribute(key, value)
      }
    },
    // the boxes of score layers that are off
    fade(names) {
      for (const name in boxes) boxes[name].group.classList.toggle('off', names.includes(name))
    },
    choose(name) {
      for (const each in boxes) boxes[each].group.classList.toggle('chosen', each === name)
    },
  }
}

function drawBox(svg, name, { x, y, wide }, choose) {
  const group = appendSvg(svg, 'g', { class: 'box', tabindex: 0, role: 'button',
                                      'aria-label': `box ${name}` })
  appendSvg(group, 'rect', { x, y, width: wide, height: SIDE, class: 'back' })
  const image = appendSvg(group, 'image', { x, y, width: wide, height: SIDE,
                                            preserveAspectRatio: 'none', class: 'pixels' })
  const frame = appendSvg(group, 'rect', { class: 'window', visibility: 'hidden' })
  const isBar = wide < SIDE / 2
  const title = name === 'data' ? 'image' : name
  if (isBar) {
    const middle = `rotate(-90 ${x + wide / 2} ${y - 6})`
    appendSvg(group, 'text', { x: x + wide / 2, y: y - 6, transform: middle, class: 'bar' }, '')
  } else {
    appendSvg(group, 'text', { x: x + wide / 2, y: y - 6, 'text-anchor': 'middle' }, title)
  }
  const text = appendSvg(group, 'text', { x: x + wide / 2, y: y + SIDE + 14, class: 'size',
                                          'text-anchor': 'middle' }, '')
  appendSvg(group, 'title', {}, title)
  if (isBar) text.setAttribute('visibility', 'hidden')
  group.onclick = () => choose(name)
  group.onkeydown = event => {
    if (event.key !== 'Enter' && event.key !== ' ') return
    event.preventDefault()
    choose(name)
  }
  return { group, image, frame, text }
}

function drawArrow(svg, source, target, text) {
  const y0 = source.y + SIDE / 2, y1 = target.y + SIDE / 2
  const start = source.x + source.wide
  let textY = y1
  let path = `M${start} ${y0}H${target.x}`
  if (source.row !== target.row) {
    path = `M${source.x + source.wide / 2} ${source.y + SIDE}V${y1}H${target.x}`
  } else if (target.x - start > SIDE) {
    const below = source.y + SIDE + 26
    path = `M${start - 8} ${source.y + SIDE}V${below}H${target.x + 8}V${target.y + SIDE}`
    textY = below
  }
  appendSvg(svg, 'path', { d: path, class: 'arrow' })
  if (!text) return
  appendSvg(svg, 'text', { x: target.x - 3, y: textY - 5, class: 'crop', 'text-anchor': 'end' }, text)
}
