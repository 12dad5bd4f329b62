// Every op as a pair: forward(inputs, kwargs) -> [y, cache], and backward(dy, cache, want) -> the
// gradients of all inputs, null where there is none. Tests hold them to the library's own ops.
import { conv2d, conv2dBackward, convTranspose2d, convTranspose2dBackward } from './convolution.mjs'
import { avgPool, avgPoolTo, resize, separableBackward, upsample } from './interpolation.mjs'
import { batchNorm, batchNormBackward, localResponseNorm,
         localResponseNormBackward } from './norm.mjs'
import { add, addBackward, dropout, dropoutBackward, leakyRelu, leakyReluBackward, multiply,
         multiplyBackward, relu, scale, scaleBackward } from './pointwise.mjs'
import { maxPool, maxPoolBackward, maxSwitches, take, takeBackward, unpool,
         unpoolBackward } from './pooling.mjs'
import { channels, channelsBackward, concat, concatBackward, crop, cropBackward, pad,
         padBackward } from './shape.mjs'

export const OPS = {
  add: [add, addBackward],
  avg_pool: [avgPool, separableBackward],
  avg_pool_to: [avgPoolTo, separableBackward],
  batch_norm: [batchNorm, batchNormBackward],
  channels: [channels, channelsBackward],
  concat: [concat, concatBackward],
  conv2d: [conv2d, conv2dBackward],
  conv_transpose2d: [convTranspose2d, convTranspose2dBackward],
  crop: [crop, cropBackward],
  dropout: [dropout, dropoutBackward],
  leaky_relu: [leakyRelu, leakyReluBackward],
  local_response_norm: [localResponseNorm, localResponseNormBackward],
  max_pool: [maxPool, maxPoolBackward],
  max_switches: [maxSwitches, () => [null]],
  multiply: [multiply, multiplyBackward],
  pad: [pad, padBackward],
  relu: [relu, leakyReluBackward],
  resize: [resize, separableBackward],
  scale: [scale, scaleBackward],
  take: [take, takeBackward],
  unpool: [unpool, unpoolBackward],
  upsample: [upsample, separableBackward],
}
