// Run a model in ONNX Runtime on a raw f32 input: node ort.mjs FOLDER MODEL INPUT OUTPUT, where FOLDER holds
// node_modules/onnxruntime-node. As many inputs as the file holds, one after the other.
import { createRequire } from 'node:module';
import { readFileSync, writeFileSync } from 'node:fs';
const [folder, model, input, output] = process.argv.slice(2);
const ort = createRequire(folder + '/')('onnxruntime-node');
const session = await ort.InferenceSession.create(model, { executionProviders: ['cpu'], intraOpNumThreads: 1, interOpNumThreads: 1 });
const shape = session.inputMetadata[0].shape.map((d) => (typeof d === 'number' && d > 0 ? d : 1));
const count = shape.reduce((a, b) => a * b, 1);
const raw = readFileSync(input);
const all = new Float32Array(raw.buffer, raw.byteOffset, raw.byteLength / 4);
const results = [];
for (let i = 0; i + count <= all.length; i += count) {
  const x = new ort.Tensor('float32', all.slice(i, i + count), shape);
  const y = await session.run({ [session.inputNames[0]]: x });
  const { buffer, byteOffset, byteLength } = y[session.outputNames[0]].data;
  results.push(Buffer.from(buffer, byteOffset, byteLength));
}
writeFileSync(output, Buffer.concat(results));
