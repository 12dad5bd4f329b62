// Shows pictures: a part of the module that page.py joins.

// -> a function that paints frame `index`
function draw(stage, trace) {
  stage.className = 'pictures'
  const panels = trace.panels.map(({ name, title, width = 200 }) => {
    const figure = append(stage, 'figure', { class: 'picture' })
    const image = append(figure, 'img', { alt: title })
    return { name, title, width, image, text: append(figure, 'figcaption', {}, title) }
  })
  const calm = matchMedia('(prefers-reduced-motion: reduce)')
  return (index, from) => {
    const { show, titles = {} } = trace.frames[index]
    for (const { name, title, width, image, text } of panels) {
      const address = trace.images[show[name]]
      image.style.width = `${trace.widths?.[show[name]] ?? width}px`
      text.textContent = titles[name] ?? title
      if (image.getAttribute('src') === address) continue
      image.setAttribute('src', address)
      if (index !== from && !calm.matches) image.animate({ opacity: [.3, 1] }, 250)
    }
  }
}
