export {Client} from './client.js';
export {LossdError} from './error.js';
export {merge} from './merge.js';
export {decode, encode} from './safetensors.js';
export {Tensor} from './tensor.js';
