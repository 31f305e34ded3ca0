// Imports of the module. AssemblyScript's own Math.log would bring a static table, and the memory belongs to TensorFlow.js.

export declare function log(x: f64): f64;
