// Shows pictures: a part of the module that page.py joins.

const OTHERS = 190                                  // pixels: height of all but the pictures
const SPACE = 26                                    // pixels between pictures, for links

// -> a function that paints frame `index`
function draw(stage, trace) {
  const { links = [] } = trace
  const isTable = trace.panels.some(panel => panel.row !== undefined)
  stage.className = isTable ? 'pictures table' : 'pictures'
  const lines = isTable && append(stage, 'svg', { class: 'links', 'aria-hidden': true })
  const [rows, columns] = ['row', 'column'].map(
    axis => 1 + Math.max(...trace.panels.map(panel => panel[axis] ?? 0)))
  const panels = trace.panels.map(panel => addPicture(stage, panel))
  const calm = matchMedia('(prefers-reduced-motion: reduce)')
  return (index, from) => {
    const { show, titles = {} } = trace.frames[index]
    const most = isTable ? Math.min((stage.clientWidth - SPACE * (columns - 1)) / columns,
                                    (visibleHeight() - OTHERS) / rows - SPACE) : Infinity
    for (const { name, title, width, figure, image, text } of panels) {
      const address = trace.images[show[name]]
      image.style.width = `${Math.min(most, trace.widths?.[show[name]] ?? width)}px`
      text.textContent = titles[name] ?? title
      figure.classList.toggle('blank', !address)
      if (!address) image.removeAttribute('src')
      if (!address || image.getAttribute('src') === address) continue
      image.setAttribute('src', address)
      if (index !== from && !calm.matches) image.animate({ opacity: [.3, 1] }, 250)
    }
    if (isTable) drawLinks(stage, lines, panels, links, trace.frames[index].links ?? [])
  }
}

function addPicture(stage, { name, title, width = 200, row, column }) {
  const figure = append(stage, 'figure', { class: 'picture' })
  if (row !== undefined) figure.style.gridArea = `${row + 1} / ${column + 1}`
  const image = append(figure, 'img', { alt: title })
  const text = append(figure, 'figcaption', {}, title)
  return { name, title, width, figure, image, text }
}

// An arrow for each link, from one picture to another; those of the frame are marked.
function drawLinks(stage, lines, panels, links, marked) {
  const corner = stage.getBoundingClientRect()
  lines.replaceChildren()
  const boxOf = name => {
    const { image } = panels.find(panel => panel.name === name)
    const { left, top, width, height } = image.getBoundingClientRect()
    return { x: left - corner.left + width / 2, y: top - corner.top + height / 2, width, height }
  }
  for (const [from, to] of links) {
    const a = boxOf(from), b = boxOf(to), x = b.x - a.x, y = b.y - a.y
    // from edge to edge: this part of the way from one middle to the other lies in each picture
    const inside = box => Math.min(box.width / 2 / Math.abs(x || 1e-9),
                                   box.height / 2 / Math.abs(y || 1e-9))
    const start = inside(a), end = 1 - inside(b)
    const [x1, y1, x2, y2] = [a.x + start * x, a.y + start * y, a.x + end * x, a.y + end * y]
    const isMarked = marked.some(link => link[0] === from && link[1] === to)
    const kind = isMarked ? 'link marked' : 'link'
    append(lines, 'line', { class: kind, x1, y1, x2, y2 })
    const angle = Math.atan2(y, x) * 180 / Math.PI
    append(lines, 'path', { class: kind, d: 'M-9 -5L0 0L-9 5z',
                            transform: `translate(${x2} ${y2}) rotate(${angle})` })
  }
}
