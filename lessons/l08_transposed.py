# %% [markdown]
# # 08. Transposed convolution
#
# **A convolution with stride 2 turns seven numbers into three. What turns three into seven?**
#
# *About 60 minutes, with its exercises.*
#
# This operation has ten names, is often said to undo convolution (it does not), and has a `padding`
# that makes its output smaller. All of that becomes clear once you see that it is lesson 04's
# matrix, transposed. We compute the same numbers in three ways; all three are one matrix product.

# %% tags=["hide-input"]
# imports
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML

import tinyfcn
from tinyfcn import ops, viz
from tinyfcn.course import tracing
from tinyfcn.course.exercises import check

plt.rcParams['figure.dpi'] = 100

# %% [markdown]
# ## The same connections in the other direction
#
# A kernel of three taps moves by two. On the left each output **gathers** from the three pixels
# that it is connected to: that is convolution. On the right are the same connections in the other
# direction: each number **scatters** to the three positions that it is connected to. Where two
# arrows meet, their values add.

# %% tags=["hide-input"]
# draw the connections in both directions
def lines(title, downwards):
    """Draw seven positions above, three below, and the connections between them as arrows."""
    arrows = ''
    for i in range(3):
        for tap, colour in enumerate(['#c33', '#292', '#36c']):
            ends = f'{40 * (2 * i + tap) + 25} 36', f'{40 * (2 * i + 1) + 25} 104'
            start, end = ends if downwards else ends[::-1]
            arrows += f'<path d="M{start}L{end}" stroke="{colour}"/>'
    squares = ''
    for x, y in [*((25 + 40 * j, 28) for j in range(7)), *((65 + 80 * i, 112) for i in range(3))]:
        squares += f'<path d="M{x - 7} {y - 7}h14v14h-14z"/>'
    marks = (f'<text x="145" y="14" text-anchor="middle" fill="currentColor">{title}</text>'
             f'<g stroke-width="2" marker-end="url(#tip)">{arrows}</g><g fill="#f90">{squares}</g>')
    return f'<svg width="290" height="125" font-family="sans-serif" font-size="13">{marks}</svg>'


tip = ('<svg width="0" height="0"><marker id="tip" markerWidth="6" markerHeight="6" refX="5" '
       'refY="3" orient="auto"><path d="M0 0L6 3L0 6z" fill="#888"/></marker></svg>')
both = lines('convolution: 7 to 3', True) + lines('its transpose: 3 to 7', False)
HTML(f'<div style="display:flex; flex-wrap:wrap; align-items:flex-start">{tip}{both}</div>')

# %% [markdown]
# You have met the right-hand side before. In lesson 06 the backward of a convolution was dx = Mᵀ
# dy: each output's gradient was scattered to the pixels that it had gathered from. Here Mᵀ is used
# *forward*, as a layer that makes maps larger.
#
# ## One product, computed in three ways
#
# Write the left-hand side as the matrix M of lesson 04. Every row holds the kernel w, shifted by
# two each time. The kernel is 1, 2, 3. The three input numbers are 1, 10 and 100, so that **the
# digits of every result show which inputs it came from**.

# %%
w = np.array([1., 2., 3.])
x = np.array([1., 10., 100.])

M = np.zeros((3, 7))
for i in range(3):
    M[i, 2 * i:2 * i + 3] = w

y = M.T @ x
viz.show_matrices(M=M, M_transposed=M.T, x=x[:, None], y=y[:, None])

# %% [markdown]
# Take y[4] = 130: it is the sum of 100·1 and 10·3. Now look at Mᵀ, the second grid, and remember
# that the product of a matrix and a vector can be computed by columns or by rows.
#
# **1. By columns.** Mᵀ x is the sum of its columns, each times its x. Every column *is the kernel*,
# two further down each time. So each x adds a copy of the kernel, times x, to the output at its
# position. Think of the kernel as a **stamp** and of the output as the sum of all stamps.

# %%
y_scatter = np.zeros(7)
for i in range(3):
    y_scatter[2 * i:2 * i + 3] += x[i] * w

# %% tags=["hide-input"]
# check: the same y
assert (y_scatter == y).all()

# %% [markdown]
# **2. By rows.** Each output is a row of Mᵀ times x. Look at two rows in the middle. `3 1 0` is the
# flipped kernel, 3 2 1, without the 2; `0 2 0` is only the 2. So the **flipped** kernel moves down
# x, and alternately its outer taps or its middle tap are multiplied with numbers of x. Insert a
# zero between any two numbers of x for the remaining taps, and it is an ordinary convolution of
# stride 1:

# %%
spaced = np.zeros(5)
spaced[::2] = x                                             # stride − 1 zeros between
padded = np.pad(spaced, 2)                                  # ksize − 1 zeros around
flipped = w[::-1]
y_slide = np.array([padded[a:a + 3] @ flipped for a in range(7)])
print(padded)

# %% tags=["hide-input"]
# check: the same y
assert (y_slide == y).all()

# %% [markdown]
# **3. As a matrix.** Build the sparse matrix M, and multiply by its transpose. That is the
# definition, and the other two are ways to compute it. As a formula, with the stride s:
#
# `y[a] = Σ x[i]·w[a − s·i]`
#
# For convolution it was `y[i] = Σ x[s·i + k]·w[k]`. There x was read at s·i + k; here y is written
# at that position.
#
# ## In two dimensions, on the same numbers
#
# The kernel is now the digits 1 to 9, and the four numbers are 1, 10, 100 and 1000. Four stamps of
# 3×3, two apart, make 5×5.

# %%
x = np.array([[1., 10.], [100., 1000.]])
w = np.arange(1., 10).reshape(3, 3)

stamped = np.zeros((5, 5))
for i in range(2):
    for j in range(2):
        stamped[2 * i:2 * i + 3, 2 * j:2 * j + 3] += x[i, j] * w

viz.show_matrices(x=x, w=w, y=stamped)

# %% [markdown]
# In the middle all four stamps overlap: 1379. So the 1 contributed the kernel's last tap, 9; the 10
# contributed 7, the 100 contributed 3, and the 1000 the first tap, 1. Step through it, one stamp at
# a time:

# %%
stride = 2                                                  # try: 3, 4, 1

tracing.scatter([[1, 10], [100, 1000]], [[1, 2, 3], [4, 5, 6], [7, 8, 9]], stride)

# %% [markdown]
# **Change this and run again:** `stride` to 3, then to 4, then to 1. (With 3, the width of the
# kernel, the stamps just touch and do not overlap. With 4 there are empty rows between them. With 1
# the output is only larger by the border of the kernel, 4×4: transposing is not the same as
# upsampling.)
#
# The second way, on the same numbers: zeros between, zeros around, and the flipped kernel slides
# (*zero insertion*). Watch how few of its nine taps are multiplied with a number of x: four at
# most, often two or one. The rest are multiplications by zero.

# %%
tracing.zero_insert(x, w, stride=2)

# %% [markdown]
# And the third: M has a row for each of the four windows and a column for each of the 25 pixels. Mᵀ
# x sums the rows of M, which are the columns of Mᵀ, each times its x. Here each column has the
# shape of y: it is the stamp of its x, with zeros around.

# %%
tracing.transposed_matrix(x, w, stride=2)

# %% [markdown]
# The three results and the library's are equal, bit for bit.

# %%
spaced = np.zeros((3, 3))
spaced[::2, ::2] = x
convolved, _ = ops.conv2d(np.pad(spaced, 2)[None, None], w[None, None, ::-1, ::-1])     # stride 1

M = ops.conv_matrix(w[None, None], (5, 5), stride=2)
multiplied = (M.T @ x.ravel()).reshape(5, 5)

y, _ = ops.conv_transpose2d(x[None, None], w[None, None], stride=2)
assert M.shape == (4, 25)
for result in (stamped, convolved[0, 0], multiplied):
    assert (result == y[0, 0]).all()

# %% [markdown]
# With other strides the sizes are those that you saw above:

# %%
for step, side in ((1, 4), (2, 5), (3, 6), (4, 7)):
    y, _ = ops.conv_transpose2d(x[None, None], w[None, None], stride=step)
    print(f'stride {step}: {y.shape[2:]}')                    # (H − 1)·stride + ksize
    assert y.shape[2:] == (side, side)

# %% [markdown]
# ## The real function
#
# Convolution was im2col and then a product (lesson 03). Its transpose is the reverse: a product,
# and then col2im. The product computes all stamps at once, a column each; col2im adds them at their
# positions. It is the first of the three ways, without a loop over pixels.

# %%
viz.show_source(ops.conv_transpose2d)

# %% [markdown]
# (`groups` and `dilation` are 1 here, as in lesson 02.)
#
# **w is the w of the convolution whose transpose this is.** A convolution from 2 channels to 3 has
# w (3, 2, kh, kw), and so its transpose goes from 3 channels to 2 *with the same w*. Each channel
# of x has a kernel of its own for each channel of y, and the results add.

# %%
rng = np.random.default_rng(0)
many = rng.standard_normal((1, 3, 4, 4))
kernels = rng.standard_normal((3, 2, 3, 3))
y, _ = ops.conv_transpose2d(many, kernels, stride=2)
print(many.shape, 'to', y.shape)

# %% tags=["hide-input"]
# check: each channel of x by itself, summed
one_by_one = [ops.conv_transpose2d(many[:, [c]], kernels[[c]], stride=2)[0] for c in range(3)]
assert np.allclose(y, sum(one_by_one))

# %% [markdown]
# ## Padding crops the output
#
# In a convolution, `pad=1` surrounds x with zeros so that windows may extend beyond the edge. In M
# those zeros have no column. So in Mᵀ they have no row, and whatever a stamp would add there is
# discarded. The *same* pad that makes a convolution's output larger makes its transpose's smaller:
# it **crops** pad rows and columns from each side.

# %%
full, _ = ops.conv_transpose2d(x[None, None], w[None, None], stride=2)
cropped, _ = ops.conv_transpose2d(x[None, None], w[None, None], stride=2, pad=1)
tracing.scatter(x, w, stride=2, pad=1)

# %% tags=["hide-input"]
# check: one row and column less on each side
assert (cropped == full[..., 1:-1, 1:-1]).all()

# %% [markdown]
# The stamps are the same as before; the pale border is cropped. In the second way there are
# ksize − 1 − pad zeros around: the larger the pad, the fewer zeros, and the fewer positions for the
# kernel.
#
# `H_out = (H − 1)·stride + ksize − 2·pad`
#
# ## Which size was it? output_padding
#
# Convolution rounds down: with ksize 3, stride 2 and pad 1, both 7 and 8 rows give 4. Its transpose
# gets 4 and cannot know which it was. It gives 7, and with `output_padding=1` it gives 8.
#
# The name is misleading. Nothing is padded: at the end, **one row less is cropped**. If a stamp
# reaches that row, it holds real values.

# %%
for rows in (7, 8):
    four, _ = ops.conv2d(np.ones((1, 1, rows, rows)), w[None, None], stride=2, pad=1)
    assert four.shape[2:] == (4, 4)

one_more, _ = ops.conv_transpose2d(x[None, None], w[None, None], stride=2, pad=1, output_padding=1)
viz.show_matrices(full=full[0, 0], pad_1=cropped[0, 0], output_padding_1=one_more[0, 0])

# %% tags=["hide-input"]
# check: cropped at the top and at the left only
assert (one_more == full[..., 1:, 1:]).all()

# %% [markdown]
# ## What a transpose is for: ⟨Mx, y⟩ = ⟨x, Mᵀy⟩
#
# ⟨a, b⟩ is the inner product, the sum of the products of corresponding numbers of a and b. ⟨Mx, y⟩
# and ⟨x, Mᵀy⟩ are the same number for all x and y. The reason is in the first figure: each
# connection contributes x·w·y once, in either direction. This is the **adjoint identity**. It is
# the strictest test there is of a transpose, and of a backward: it needs no expected result to
# compare with.

# %%
w = rng.standard_normal((4, 3, 3, 3))                       # from 3 channels to 4
geometry = dict(stride=2, pad=1)
for _ in range(5):
    x = rng.standard_normal((1, 3, 9, 11))
    mx, _ = ops.conv2d(x, w, **geometry)
    y = rng.standard_normal(mx.shape)
    mty, _ = ops.conv_transpose2d(y, w, **geometry)
    assert mty.shape == x.shape
    print(f'{(mx * y).sum():12.8f} {(x * mty).sum():12.8f}')
    assert np.isclose((mx * y).sum(), (x * mty).sum(), rtol=0, atol=1e-11)

wrong, _ = ops.conv_transpose2d(y, w[..., ::-1, ::-1], **geometry)
print(f'{(mx * y).sum():12.8f} {(x * wrong).sum():12.8f}   with the kernel flipped by mistake')
assert abs((mx * y).sum() - (x * wrong).sum()) > 1

# %% [markdown]
# ## It is not an inverse
#
# Apply a convolution to an image, then its transpose: the *size* is that of the image again. The
# values are not.

# %%
_, label = tinyfcn.data.load_dataset('shapes', size=(96, 128), n_class=5, difficulty=0)[0]
shape = (label > 0)[None, None].astype(float)
mean = np.ones((1, 1, 16, 16)) / 256
coarse, _ = ops.conv2d(shape, mean, stride=8, pad=4)
restored, _ = ops.conv_transpose2d(coarse, mean, stride=8, pad=4)
assert restored.shape == shape.shape


# %% tags=["hide-input"]
# draw x, Mx and Mᵀ(Mx)
viz.side_by_side({f'{title}, {shown.shape[2]}×{shown.shape[3]}': shown[0, 0] for title, shown in
                  {'x': shape, 'Mx': coarse, 'Mᵀ(Mx)': restored}.items()}, width=2)

# %% [markdown]
# They cannot be. In the small example M maps 25 numbers to 4. The other 21 dimensions are lost, and
# no matrix can restore them. The rank shows it:

# %%
roundtrip = (M.T @ M).toarray()                             # M, then Mᵀ: 25×25
print('the rank of MᵀM is', np.linalg.matrix_rank(roundtrip), 'of 25')

# %% [markdown]
# Mᵀ *does* undo M if MᵀM is the identity, which is possible only if M has at least as many outputs
# as inputs. For instance with four kernels, each of which selects one pixel of a 2×2 square:

# %%
pick = np.eye(4).reshape(4, 1, 2, 2)
picked, _ = ops.conv2d(shape, pick, stride=2)
assert picked.shape == (1, 4, 48, 64)                       # a quarter of the pixels, four times
assert (ops.conv_transpose2d(picked, pick, stride=2)[0] == shape).all()

# %% [markdown]
# ## Each is the backward of the other
#
# The backward of y = M x is dx = Mᵀ dy. The backward of y = Mᵀ x is dx = (Mᵀ)ᵀ dy = M dy, a plain
# convolution. And dw sums in both cases the products of the x and y that each tap connects, so they
# even share that function (`weight_gradient`, lesson 06). Compare the two:

# %%
viz.show_source(ops.conv2d.backward)

# %%
viz.show_source(ops.conv_transpose2d.backward)

# %% tags=["hide-input"]
# check: each is the backward of the other, with the same dw
mx, cache = ops.conv2d(x, w, **geometry)
dx, dw, _ = ops.conv2d.backward(y, cache)
assert (dx == ops.conv_transpose2d(y, w, **geometry)[0]).all()

mty, cache = ops.conv_transpose2d(y, w, **geometry)
dy, dw_too, _ = ops.conv_transpose2d.backward(x, cache)
assert (dy == ops.conv2d(x, w, **geometry)[0]).all()
assert np.allclose(dw, dw_too)                              # the same x, the same y: the same dw

print(tinyfcn.gradcheck.check(ops.conv_transpose2d, y, w, **geometry))

# %% [markdown]
# In a net it is called `deconv`, as in Caffe. Here one box halves the size, and one doubles it:

# %%
from tinyfcn.layers import conv, deconv

n = tinyfcn.Net(channels=1, dtype='float64')
n.down = conv(n.data, 8, 4, stride=2, pad=1)
n.up   = deconv(n.down, 1, 4, stride=2, pad=1)

walk = n.walk(shape)
for _ in range(2):
    made, value = next(walk)
    print(f'{made.name:5} w {n.params[made.name + ".w"].shape}  ->  {value.shape}')

# %% [markdown]
# ## Checkerboards
#
# How many stamps overlap at a pixel? Use a kernel of ones on an input of ones to count. If the
# kernel's size is not a multiple of the stride, the stamps overlap unevenly, and their number
# alternates: a **checkerboard** pattern, before anything has been learned.

# %% tags=["hide-input"]
# draw the number of stamps at each pixel
_, axs = plt.subplots(1, 4, figsize=(7.2, 2))
for ax, ksize in zip(axs, (2, 3, 4, 5)):
    kernel = np.ones((1, 1, ksize, ksize))
    overlap, _ = ops.conv_transpose2d(np.ones((1, 1, 6, 6)), kernel, stride=2)
    inside = overlap[0, 0, ksize:-ksize, ksize:-ksize]
    ax.imshow(overlap[0, 0], cmap='gray', vmin=0, vmax=9)
    ax.set_title(f'ksize {ksize}, stride 2: {", ".join(f"{v:g}" for v in np.unique(inside))}',
                 fontsize=9)
    ax.axis('off')
    assert (np.ptp(inside) == 0) == (ksize % 2 == 0)
plt.tight_layout()

# %% [markdown]
# (The titles say how many stamps overlap away from the border.) With random weights the mean square
# of an output is just that count: with ksize 3 some pixels have twice the amplitude of their
# neighbours (√4 against √1), and training has to correct that.

# %% tags=["hide-input"]
# measure the mean square with random weights
for ksize, counts in ((3, [[1, 2], [2, 4]]), (4, [[4, 4], [4, 4]])):
    random = rng.standard_normal((1, 20_000, ksize, ksize))
    y, _ = ops.conv_transpose2d(np.ones((1, 1, 4, 4)), random, stride=2)
    top = 3 if ksize == 3 else 4                            # four neighbours, well inside
    power = (y[..., top:top + 2, top:top + 2] ** 2).mean((0, 1))
    print(f'ksize {ksize}: mean square', *power.ravel().round(1))
    assert np.allclose(power, counts, rtol=.1)

# %% [markdown]
# Uniform overlap is no guarantee (the learned weights may still be uneven), but a good start. FCN's
# kernels are always twice the stride: 4 for 2, 16 for 8, 64 for 32.
#
# ## Ten names
#
# | name | is it accurate? |
# | --- | --- |
# | **transposed convolution** | Yes: the matrix is transposed. |
# | adjoint of convolution | Yes: the same in the language of ⟨Mx, y⟩ = ⟨x, Mᵀy⟩. |
# | gradient of convolution, with respect to its input | Yes, but here it is used forward. |
# | backwards convolution (the FCN paper) | Yes, for the same reason; "backwards" is not "undone". |
# | fractionally strided convolution | The second way: with the zeros, a step is 1/stride of an x. |
# | **deconvolution** (the FCN paper, Caffe) | Misleading: elsewhere it *undoes* a convolution. |
# | **inverse convolution** | Wrong: it is no inverse. |
# | up-convolution (U-Net) | Vague: others mean upsampling followed by a convolution. |
# | learned upsampling | One use of it; but weights may be fixed (lesson 09), the stride may be 1. |
# | upsampling layer | Even vaguer: there are many others. |
#
# ## Your turn
#
# `x` is (N, C, H, W), `w` is (C, K, kh, kw), `stride` and `pad` are integers. Any of the three ways
# is fine; the first is the shortest.

# %%
def conv_transpose2d_mine(x, w, stride, pad):
    """y = M(w)ᵀ x, (N, K, (H − 1)·stride + kh − 2·pad, …)."""
    raise NotImplementedError


check('conv_transpose2d', conv_transpose2d_mine)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def conv_transpose2d_mine(x, w, stride, pad):
#     n, _, height, width = x.shape
#     _, k, kh, kw = w.shape
#     y = np.zeros((n, k, (height - 1) * stride + kh, (width - 1) * stride + kw))
#     for i in range(height):
#         for j in range(width):
#             stamp = np.tensordot(x[:, :, i, j], w, axes=1)          # (N, K, kh, kw)
#             top, left = i * stride, j * stride
#             y[:, :, top:top + kh, left:left + kw] += stamp
#     return y[:, :, pad:y.shape[2] - pad, pad:y.shape[3] - pad]
# ```
#
# </details>

# %% [markdown]
# ## What PyTorch calls this
#
# | here | PyTorch |
# | --- | --- |
# | `ops.conv_transpose2d(x, w, b, stride, pad)` | `F.conv_transpose2d(x, w, b, stride, padding)` |
# | w (C, K/groups, kh, kw) | the same, C being the channels of x |
# | `deconv(x, channels, ksize, stride)` | `nn.ConvTranspose2d(C, channels, ksize, stride)` |
# | `output_padding` | `output_padding`, or `output_size` when it is called |
#
# TensorFlow's filter is (kh, kw, K, C). JAX's `lax.conv_transpose` flips the kernel only with
# `transpose_kernel=True`.
#
# ## Three questions
#
# 1. Seven rows, kernel 3, stride 2: how does the shape of M show that no layer can restore the
#    seven rows from three?
#
# <details><summary>Answer</summary>
#
# M is 3×7. There are nonzero x with M x = 0 (a space of four dimensions), and no later layer can
# distinguish them from x = 0.
#
# </details>
#
# 2. FCN-32s upsamples with kernel 64 and stride 32. How many of the 64·64 taps contribute to one
#    output, and how much work does the second way waste?
#
# <details><summary>Answer</summary>
#
# Every 32nd along each axis: 2·2 = 4. Sliding over the map with inserted zeros takes 4096
# multiplications for each output, 1024 times as many as needed.
#
# </details>
#
# 3. A transposed convolution with stride 1: is it a convolution?
#
# <details><summary>Answer</summary>
#
# Yes: no zeros are inserted, so it is the convolution with the flipped kernel, padded by
# ksize − 1 − pad, and with the input and output channels exchanged.
#
# </details>
#
# **Next:** which kernel upsamples a map smoothly, before anything has been learned? Lesson 09
# derives it: the bilinear kernel.
