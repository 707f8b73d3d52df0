// ONNX Runtime 1.29 and later report every process to their maker unless this is set before they
// are loaded: a module of its own, as imports run before the module that has them.

process.env.ORT_DISABLE_TELEMETRY ??= "1";
